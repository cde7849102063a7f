"""Exports an M3GNet potential (Chen and Ong, Nat. Comput. Sci. 2, 718 (2022)) to an ONNX file under Temper's contract.

    pip install -r requirements.txt -r requirements-m3gnet.txt
    python export_m3gnet.py MODEL OUT.onnx ENERGY_REFERENCE

MODEL is a folder as matgl saves a `Potential` (model.json, model.pt, state.pt), made for the version of matgl that is installed:
weights of an older major version load and are wrong. Or it is `random` or `random-smooth` for an untrained one with the sizes of
M3GNet-MP-2021.2.8 or of M3GNet-MatPES-2025.1, by which this script was tested: no weights come with the package.
ENERGY_REFERENCE is the scale of its training data, such as PBE.
The layers are the package's own. What differs from its code changes speed, not value: of the three-body terms, what belongs to the
second edge of a triplet is computed on edges, before it is gathered. Forces are left to Temper's differentiator. The file is
checked against the package before the script ends.
"""

import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")

import matgl
import numpy as np
import onnxruntime
import torch
from ase.data import atomic_numbers
from matgl.apps.pes import Potential
from matgl.ext.pymatgen import Structure2Graph
from matgl.graph._compute import compute_theta_and_phi
from matgl.models import M3GNet
from matgl.utils.cutoff import polynomial_cutoff
from pymatgen.core import Structure
from torch import nn

from contract import AXES, stamp
from inputs import batch
from tested import crystals

INPUTS = ["atomic_numbers", "positions", "cell", "batch", "edge_index", "edge_shift", "triplet_index"]
TOLERANCE = 1e-4  # eV/atom: what float32 allows
UNTRAINED = {"random": {"use_smooth": False, "units": 64}, "random-smooth": {"use_smooth": True, "units": 128}}


def add_rows(values, owners, rows):
    """Sums of each owner's rows. The exporter loses the sum of the package's `index_add`."""
    index = owners[:, None].expand(-1, values.shape[1])
    return torch.zeros(rows, values.shape[1], dtype=values.dtype).scatter_add(0, index, values)


class Exported(nn.Module):
    """The energy from the contract's inputs."""

    def __init__(self, potential):
        super().__init__()
        self.potential, self.model = potential, potential.model
        numbers = [atomic_numbers[symbol] for symbol in self.model.element_types]
        kind = torch.zeros(119, dtype=torch.int64)
        kind[numbers] = torch.arange(len(numbers))
        self.register_buffer("kind", kind)
        own = potential.element_refs
        self.register_buffer("own", torch.zeros(len(numbers)) if own is None else own.property_offset.float())

    def three_body(self, layer, radial, harmonics, weight, triplets, neighbours, nodes, edges):
        """Equations 2 and 3 of the paper: each edge learns of the others at its centre, and of the angles to them."""
        of_second = radial * layer.update_network_atom(nodes)[neighbours] * weight[:, None]
        sums = add_rows(of_second[triplets[1]] * harmonics, triplets[0], edges.shape[0])
        return edges + layer.update_network_bond(sums * weight[:, None])

    def convolve(self, layer, expanded, centres, neighbours, nodes, edges):
        """Equations 4 and 5: edges, then atoms."""

        def message(network, weight):
            return network(torch.cat([nodes[centres], nodes[neighbours], edges], 1)) * weight(expanded)

        edges = edges + message(layer.edge_update_func, layer.edge_weight_func)
        return nodes + add_rows(message(layer.node_update_func, layer.node_weight_func), centres, nodes.shape[0]), edges

    def forward(self, numbers, positions, cell, crystal, edge_index, edge_shift, triplets):
        model = self.model
        centres, neighbours, kind = edge_index[0], edge_index[1], self.kind[numbers]
        shift = torch.bmm(edge_shift[:, None, :], cell[crystal[centres]])[:, 0, :]
        vector = positions[neighbours] + shift - positions[centres]
        length = torch.sqrt((vector * vector).sum(1))

        expanded = model.bond_expansion(length)
        nodes, edges, _ = model.embedding(kind, expanded, None)
        radial = model.basis_expansion.sbf(length)
        angle = compute_theta_and_phi(vector, length, triplets)
        degree = torch.arange(model.max_l).repeat_interleave(model.max_n)  # of each radial function
        harmonics = model.basis_expansion.shf(angle["cos_theta"], angle["phi"])[:, degree]
        weight = polynomial_cutoff(length, model.threebody_cutoff)
        for three_body, block in zip(model.three_body_interactions, model.graph_layers):
            edges = self.three_body(three_body, radial, harmonics, weight, triplets, neighbours, nodes, edges)
            nodes, edges = self.convolve(block.conv, expanded, centres, neighbours, nodes, edges)
        energies = model.final_layer(nodes) * self.potential.data_std + self.own[kind][:, None]
        return add_rows(energies, crystal, cell.shape[0])[:, 0] + self.potential.data_mean


def untrained(kind):
    """A potential of random weights, saved and loaded as a trained one would be; scaled up, so that what neighbours and angles
    add is of the order of eV."""
    torch.manual_seed(0)
    model = M3GNet(is_intensive=False, cutoff=5.0, threebody_cutoff=4.0, **UNTRAINED[kind])
    with torch.no_grad():
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear):
                layer.weight *= 300 if "update_network_bond" in name else 2
    folder = tempfile.mkdtemp()
    Potential(model, data_std=4.0, element_refs=-10 * torch.rand(len(model.element_types))).save(folder)
    return matgl.load_model(folder)


def usable(potential):
    """The potential, if it is of the kind that this script writes out."""
    model = potential.model
    if not isinstance(model, M3GNet) or model.is_intensive or model.include_state or model.basis_expansion.use_phi:
        sys.exit("only extensive M3GNet models without state and phi have been tried")
    if potential.calc_repuls:
        sys.exit("potentials with nuclear repulsion have not been tried")
    return potential.float().eval().requires_grad_(False)


def arrays(some, model):
    given = batch(some, model.cutoff, model.threebody_cutoff)
    return {name: given[name] for name in INPUTS}


def export(potential, name, reference, path):
    model = potential.model
    tensors = tuple(torch.tensor(array) for array in arrays(crystals()[:4], model).values())
    dynamic = {port: {i: size for i, size in enumerate(AXES[port]) if isinstance(size, str)} for port in [*INPUTS, "energy"]}
    torch.onnx.export(Exported(potential), tensors, path, dynamo=False, opset_version=18, input_names=INPUTS,
                      output_names=["energy"], dynamic_axes=dynamic)  # fmt: skip
    elements = sorted(atomic_numbers[symbol] for symbol in model.element_types)
    metadata = {
        "name": "M3GNet", "version": name, "source": "PyPI matgl", "cutoff": str(model.cutoff),
        "triplet_cutoff": str(model.threebody_cutoff), "elements": ",".join(map(str, elements)), "energy_reference": reference,
    }  # fmt: skip
    stamp(path, metadata, {"energy": "eV"})


def expected(potential, some):
    """Energies by the package: its own graphs, its own order of computation."""
    potential.calc_forces = potential.calc_stresses = False
    converter = Structure2Graph(potential.model.element_types, potential.model.cutoff)
    energies = []
    for numbers, frac, lattice in some:
        graph, cell, _ = converter.get_graph(Structure(lattice, numbers, frac))
        energies.append(float(potential(graph, cell)[0]))
    return np.array(energies)


def check(potential, some, path):
    """Energies of the file, alone and in one batch, against the package's: the largest difference per atom."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, scatters may lose rows
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    together = session.run(["energy"], arrays(some, potential.model))[0]
    alone = np.array([session.run(["energy"], arrays([c], potential.model))[0][0] for c in some])
    counts = np.array([len(numbers) for numbers, *_ in some])
    package = expected(potential, some)
    return max(np.abs((given - package) / counts).max() for given in (together, alone))


if __name__ == "__main__":
    saved, out, scale = sys.argv[1:]
    loaded = usable(untrained(saved) if saved in UNTRAINED else matgl.load_model(saved))
    export(loaded, saved.rstrip("/").split("/")[-1], scale, out)
    error = check(loaded, crystals(), out)
    print(f"{out}: largest deviation from the package {error:.1e} eV/atom")
    if not error < TOLERANCE:
        sys.exit("the exported file is not the package's model")
