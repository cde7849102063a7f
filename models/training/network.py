"""A small graph network for one or several properties of a crystal.

Gated convolutions over neighbours as in CGCNN (Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018)), on Gaussians of the
distance as in SchNet, with a cosine envelope, so that no property jumps when a neighbour crosses the cutoff. Properties do not
grow with the cell: atoms are averaged.
"""

import math

import torch
from torch import nn

SPECIES = 119


def add_rows(values, owners, rows):
    """[rows, width]: sums of the values [m, width] of each owner. `scatter_add` keeps its sum in both exporters."""
    index = owners[:, None].expand(-1, values.shape[1])
    return torch.zeros(rows, values.shape[1], dtype=values.dtype).scatter_add(0, index, values)


class Convolution(nn.Module):
    """Adds to each atom what its neighbours send: a gate times a message, from both atoms and their distance."""

    def __init__(self, width, basis):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.centre = nn.Linear(width, 2 * width)
        self.neighbour = nn.Linear(width, 2 * width, bias=False)
        self.distance = nn.Linear(basis, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, atoms, centres, neighbours, basis, envelope):
        normed = self.norm(atoms)
        pair = self.centre(normed)[centres] + self.neighbour(normed)[neighbours] + self.distance(basis)
        gate, message = pair.chunk(2, 1)
        sent = torch.sigmoid(gate) * nn.functional.silu(message) * envelope
        return atoms + self.out(add_rows(sent, centres, atoms.shape[0]) / 4)


class Network(nn.Module):
    """`limits` gives each property's range: ("log", top) for 1 to top, regressed as logarithm; ("positive", scale) for above 0."""

    def __init__(self, limits, cutoff, width=64, layers=3, basis=32):
        super().__init__()
        self.limits, self.cutoff = limits, cutoff
        self.register_buffer("means", torch.linspace(0.5, cutoff, basis))
        self.spread = (cutoff - 0.5) / (basis - 1)
        self.species = nn.Embedding(SPECIES, width)
        self.layers = nn.ModuleList(Convolution(width, basis) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.atom = nn.Linear(width, width)
        self.head = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, len(limits)))

    def forward(self, numbers, centres, neighbours, distances, batch, crystals):
        """[crystals, properties]."""
        d = distances[:, None]
        basis = torch.exp(-0.5 * ((d - self.means) / self.spread) ** 2)
        envelope = 0.5 * (1 + torch.cos(d * (math.pi / self.cutoff)))
        atoms = self.species(numbers)
        for layer in self.layers:
            atoms = layer(atoms, centres, neighbours, basis, envelope)
        atoms = nn.functional.silu(self.atom(self.norm(atoms)))
        counts = add_rows(torch.ones_like(atoms[:, :1]), batch, crystals)
        raw = self.head(add_rows(atoms, batch, crystals) / counts)
        return torch.cat([within(raw[:, k : k + 1], *limit) for k, limit in enumerate(self.limits.values())], 1)


def within(raw, kind, limit):
    """A number in the property's range. What is bounded by the data cannot be driven beyond it by an optimiser."""
    if kind == "log":
        return torch.exp(math.log(limit) * torch.sigmoid(raw))
    return limit * nn.functional.softplus(raw)
