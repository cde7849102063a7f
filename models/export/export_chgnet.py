"""Exports CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)) to an ONNX file under Temper's contract.

    python export_chgnet.py OUT.onnx

The function is CHGNet's. What differs from the package's code changes speed, not value:
* edges come with their opposites and triplets as pairs of edges, where CHGNet numbers undirected bonds and angles;
* the first linear layer of every gated MLP acts on atoms and bonds before they are gathered, cat([a_i, b, a_j]) @ W being
  (a @ W1)_i + (b @ W2) + (a @ W3)_j: fewer rows to multiply; triplets gather what their first edge has already added up;
* bonds that are in no triplet never change, so bond updates touch the others alone;
* layer norms are written out, and sums over neighbours add whole rows;
* angles come from a square root and a polynomial: CUDA has no arc cosine.
The file is checked against the untouched package before the script ends.
"""

import math
import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import onnxruntime
import torch
from chgnet.model import CHGNet
from numpy.polynomial import Chebyshev, Polynomial
from pymatgen.core import Lattice, Structure
from torch import nn

from contract import AXES, stamp
from inputs import batch

CUTOFF, TRIPLET_CUTOFF = 6.0, 3.0
WIDTH = 64
INPUTS = ["atomic_numbers", "positions", "cell", "batch", "edge_index", "edge_shift", "edge_reverse", "triplet_index"]
OUTPUTS = ["energy", "magmoms"]
TOLERANCE = 1e-4  # eV/atom: what float32 allows
METADATA = {
    "name": "CHGNet",
    "version": "0.3.0",
    "license": "BSD-3-Clause-LBNL (CHGNet, modified BSD)",
    "source": "PyPI chgnet==0.4.2 wheel, chgnet/pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "cutoff": str(CUTOFF),
    "elements": "1-94",
    "triplet_cutoff": str(TRIPLET_CUTOFF),
    "energy_reference": "MP2020",
}


class AddRows(torch.autograd.Function):
    """Adds each row of values to the row of its owner. The exporter loses the sum of `index_add` and `index_put`."""

    @staticmethod
    def forward(_, rows, owners, values):
        return rows.index_add(0, owners, values)

    @staticmethod
    def symbolic(graph, rows, owners, values):
        owners = graph.op("Unsqueeze", owners, graph.op("Constant", value_t=torch.tensor([-1])))
        return graph.op("ScatterND", rows, owners, values, reduction_s="add")


def numbered(chosen):
    """Positions of the rows that are chosen, and the running number that each chosen row has among them."""
    return torch.nonzero(chosen)[:, 0], torch.cumsum(chosen.to(torch.int64), 0) - 1


def occurs(rows, like):
    """Which rows of `like` are in a list. Counted in float32: CUDA has no sum of integers by index."""
    count = torch.zeros_like(like, dtype=torch.float32)
    return AddRows.apply(count, rows, torch.ones_like(rows, dtype=torch.float32)) > 0


def fourier(basis, angle):
    """CHGNet's Fourier basis without assignment to slices, which does not export."""
    phase = angle[:, None] * basis.frequencies[None]
    constant = torch.full_like(angle[:, None], 1 / math.sqrt(2))
    return torch.cat([constant, torch.sin(phase), torch.cos(phase)], 1) / math.sqrt(math.pi)


# acos(x) / sqrt(1 - x) for x from 0 to 1, where it has no singularity. The error of the angle is 4e-9, that of its slope 7e-7.
ARC = Chebyshev.interpolate(lambda x: np.arccos(x) / np.sqrt(1 - x), 8, domain=[0, 1]).convert(kind=Polynomial).coef


def arc_cosine(cosine):
    """The angle of a cosine within -1 and 1: acos(-x) = pi - acos(x). Its slope is right at 0, too, as |x| would not have it."""
    sign = torch.where(cosine < 0, torch.tensor(-1.0), torch.tensor(1.0))
    x = cosine * sign
    ratio = ARC[-1] * x + ARC[-2]
    for coefficient in ARC[-3::-1]:
        ratio = ratio * x + coefficient
    return (torch.sqrt(1 - x) * ratio - math.pi / 2) * sign + math.pi / 2


def angles(expansion, first, second):
    """Fourier basis of the angle between unit vectors, kept from +-1 by CHGNet's own margin."""
    cosine = torch.sum(first * second, dim=1) * (1 - 1e-6)
    return fourier(expansion.fourier_expansion, arc_cosine(cosine))


def bessel(expansion, length):
    """CHGNet's radial basis; powers of the length by multiplication."""
    cutoff = expansion.smooth_cutoff
    assert cutoff.p == 8
    length = length[:, None]
    x = length * expansion.inv_cutoff
    x2 = x * x
    x4 = x2 * x2
    envelope = 1 + x4 * x4 * (cutoff.a + x * (cutoff.b + x * cutoff.c))
    envelope = torch.where(x < 1, envelope, torch.zeros_like(x))
    return torch.sin(expansion.frequencies * x) * (envelope * expansion.norm_const / length)


def centred(values):
    """Values that sum to zero along the last axis."""
    values = values.double()
    return (values - values.mean(-1, keepdim=True)).float()


class Branch(nn.Module):
    """Core or gate of a gated MLP up to its layer norm; the first layer is applied in parts, by the caller.

    The norm's mean is taken off the last layer's weights: what that gives has the mean 0 then, and one product with a
    column measures its variance, faster than LayerNormalization does. (Its scale could go into the weights as well, but
    rounding them once more costs as much accuracy as all else.)
    """

    def __init__(self, mlp, norm, parts):
        super().__init__()
        layers = [layer for layer in mlp.layers if isinstance(layer, nn.Linear)]
        weights, biases = [layer.weight.T for layer in layers], [layer.bias for layer in layers]
        weights[-1], biases[-1] = centred(weights[-1]), centred(biases[-1])
        self.parts = nn.ParameterList([nn.Parameter(w.contiguous()) for w in weights[0].split([WIDTH] * parts)])
        self.biases = nn.ParameterList([nn.Parameter(b) for b in biases])
        self.second = nn.Parameter(weights[1].contiguous()) if len(layers) > 1 else None
        self.mean = nn.Parameter(torch.full((WIDTH, 1), 1 / WIDTH))
        self.scale, self.shift, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, total):
        if self.second is not None:
            total = torch.addmm(self.biases[1], total * torch.sigmoid(total), self.second)
        deviation = torch.sqrt((total * total) @ self.mean + self.eps)
        return total / deviation * self.scale + self.shift


class GatedMlp(nn.Module):
    """A gated MLP; `first` says from the matrices of its first layer how their products come together for a branch."""

    def __init__(self, gated, parts):
        super().__init__()
        self.core = Branch(gated.mlp_core, gated.bn1, parts)
        self.gate = Branch(gated.mlp_gate, gated.bn2, parts)

    def forward(self, first):
        core, gate = (branch(first(branch.parts, branch.biases[0])) for branch in (self.core, self.gate))
        return core * torch.sigmoid(core) * torch.sigmoid(gate)


class Exported(nn.Module):
    """Energy [b] in eV, MP2020 corrections inside, and magnetic moments [n] in Bohr magnetons."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.atom_mlps = nn.ModuleList([GatedMlp(layer.twoBody_atom, 3) for layer in model.atom_conv_layers])
        self.bond_mlps = nn.ModuleList([GatedMlp(layer.twoBody_bond, 4) for layer in model.bond_conv_layers])
        self.angle_mlps = nn.ModuleList([GatedMlp(layer.twoBody_bond, 4) for layer in model.angle_layers])

    def forward(self, numbers, positions, cell, crystal, edge_index, edge_shift, edge_reverse, triplet_index):
        model = self.model
        basis = model.bond_basis_expansion
        centre, neighbour = edge_index[0], edge_index[1]
        shift = torch.bmm(edge_shift[:, None, :], cell[crystal[centre]])[:, 0, :]
        vector = positions[centre] - positions[neighbour] - shift
        length = torch.sqrt((vector * vector).sum(1))
        unit = vector / length[:, None]

        # Of two opposite edges the first stands for the bond. Sides are the edges that are in triplets, links their bonds.
        edges = torch.arange(edge_index.shape[1])
        bonds, bond_number = numbered(edges < edge_reverse)
        bond = bond_number[torch.minimum(edges, edge_reverse)]
        sides, side_number = numbered(occurs(triplet_index[0], edges))
        links, link_number = numbered(occurs(bond[triplet_index[0]], bonds))
        first, second = side_number[triplet_index[0]], link_number[bond[triplet_index[1]]]
        link, vertex = link_number[bond[sides]], centre[sides]
        link_of_first = link[first]

        radial = bessel(basis.rbf_expansion_ag, length[bonds])
        edge_weight = model.bond_weights_ag(radial)[bond]
        link_weight = model.bond_weights_bg(bessel(basis.rbf_expansion_bg, length[bonds[links]]))
        second_weight = link_weight[second]
        atoms = model.atom_embedding(numbers - 1)
        all_bonds = model.bond_embedding(radial)
        linked = all_bonds[links]
        angle = angles(model.angle_basis_expansion, unit[triplet_index[0]], unit[triplet_index[1]])
        angle = model.angle_embedding(angle)

        def update_atoms(k, atoms):
            def first_layer(parts, bias):
                at_centre, at_neighbour = torch.addmm(bias, atoms, parts[0]), atoms @ parts[2]
                return at_centre[centre] + at_neighbour[neighbour] + (all_bonds @ parts[1])[bond]

            layer = model.atom_conv_layers[k]
            message = self.atom_mlps[k](first_layer) * edge_weight
            atoms = layer.mlp_out(AddRows.apply(torch.zeros_like(atoms), centre, message)) + atoms
            return atoms if layer.atom_norm is None else layer.atom_norm(atoms)

        def first_layer_of_triplets(parts, bias):
            at_side = (linked @ parts[0])[link] + torch.addmm(bias, atoms, parts[3])[vertex]
            return torch.addmm(at_side[first] + (linked @ parts[1])[second], angle, parts[2])

        for k, layer in enumerate(model.bond_conv_layers):
            assert layer.bond_norm is None and layer.mlp_out.layers[-1].bias is None
            atoms = update_atoms(k, atoms)
            message = self.bond_mlps[k](first_layer_of_triplets) * second_weight
            update = layer.mlp_out(AddRows.apply(torch.zeros_like(linked), link_of_first, message) * link_weight)
            linked = update + linked
            all_bonds = AddRows.apply(all_bonds, links, update)
            if k < len(self.angle_mlps):
                angle = self.angle_mlps[k](first_layer_of_triplets) + angle
        magmoms = torch.abs(model.site_wise(atoms)).view(-1)
        atoms = model.readout_norm(update_atoms(len(self.atom_mlps) - 1, atoms))
        energies = model.mlp(atoms).view(-1) + model.composition_model.fc.weight[0][numbers - 1]
        return AddRows.apply(torch.zeros(cell.shape[0]), crystal, energies), magmoms


def examples():
    """Four crystals: the exporters would take sizes of 1 and 3 for constants."""
    low_symmetry = Lattice.from_parameters(6.1, 5.4, 7.2, 83, 97, 105)
    corners = [[0, 0, 0], [0.5, 0.5, 0.5]]
    return [
        Structure(Lattice.cubic(3.905), ["Sr", "Ti", "O", "O", "O"], [*corners, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
        Structure(low_symmetry, ["Ba", "Bi", "O", "F", "Mg", "Zn", "S", "O"], np.random.default_rng(0).random((8, 3))),
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.69), ["Na", "Cl"], corners),
        Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]]).get_primitive_structure(),
    ]


def arrays(structures):
    crystals = [([site.specie.Z for site in s], s.frac_coords, s.lattice.matrix) for s in structures]
    return batch(crystals, CUTOFF, TRIPLET_CUTOFF)


def export(model, structures, path):
    module = Exported(model).eval().requires_grad_(False)
    tensors = tuple(torch.tensor(arrays(structures)[name]) for name in INPUTS)
    dynamic = {name: {i: size for i, size in enumerate(AXES[name]) if isinstance(size, str)} for name in INPUTS + OUTPUTS}
    torch.onnx.export(module, tensors, path, dynamo=False, opset_version=18, input_names=INPUTS, output_names=OUTPUTS,
                      dynamic_axes=dynamic)  # fmt: skip
    stamp(path, METADATA, {"energy": "eV", "magmoms": "muB"})


def check(model, structures, path):
    """The file's energies against the package's, crystal by crystal (its own graphs, its own layers)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, ScatterND adds rows without locks and loses some
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.run(["energy"], arrays(structures))[0] / [len(s) for s in structures]
    expected = [float(model.predict_structure(s, task="e")["e"]) for s in structures]
    error = np.abs(given - expected).max()
    print(f"{path}: largest deviation from the package {error:.1e} eV/atom")
    if not error < TOLERANCE:
        sys.exit("the exported file is not CHGNet")


if __name__ == "__main__":
    chgnet = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False).eval().requires_grad_(False)
    export(chgnet, examples(), sys.argv[1])
    check(chgnet, examples(), sys.argv[1])
