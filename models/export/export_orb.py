"""Exports an Orb potential (Rhodes et al., arXiv 2504.06231; Neumann et al., arXiv 2410.22570) to an ONNX file under Temper's
contract.

    pip install -r requirements.txt -r requirements-orb.txt
    python export_orb.py NAME WEIGHTS OUT.onnx ENERGY_REFERENCE

NAME is one that the package knows: orb-v2, orb-v3-conservative-inf-mpa, orb-v3-direct-20-omat and the like. WEIGHTS is its
checkpoint on disk, or `random` for untrained ones, by which this script was tested: no weights come with the package.
ENERGY_REFERENCE is the scale of its training data: PBE for orb-v2 and the variants called mpa, a name of your own for omat.
The layers are the package's own; its repulsion of close atoms is written out. A conservative variant gives the energy, whose
forces are left to Temper's differentiator; a direct one gives forces and stress as well, which are no derivatives of its energy.
The file is checked against the package's calculator before the script ends.
"""

import sys
import warnings
from types import SimpleNamespace

warnings.filterwarnings("ignore")

import numpy as np
import onnxruntime
import torch
from ase import Atoms
from ase.geometry.minkowski_reduction import minkowski_reduce
from orb_models.forcefield import pretrained, segment_ops
from orb_models.forcefield.calculator import ORBCalculator
from orb_models.forcefield.nn_util import get_cutoff
from torch import nn

from contract import AXES, stamp
from inputs import batch, edges
from tested import crystals

INPUTS = ["atomic_numbers", "positions", "cell", "batch", "edge_index", "edge_shift"]
UNITS = {"energy": "eV", "forces": "eV/A", "stress": "eV/A^3"}
TOLERANCES = {"energy": 1e-4, "forces": 5e-4, "stress": 5e-4}  # eV/atom, eV/A and eV/A^3: what float32 allows
ELEMENTS = "1-83,89-94"  # of the training sets; the package's tables have rows for others
LONGEST = 16.0  # angstrom: above every cutoff
EQUAL = 1e-4  # angstrom: neighbours that differ by less are equidistant
FULL = [0, 5, 4, 5, 1, 3, 4, 3, 2]  # of xx, yy, zz, yz, xz, xy


def add_rows(values, owners, rows):
    """Sums of each owner's rows. The exporter loses the sum of `index_add`."""
    index = owners[:, None].expand(-1, values.shape[1])
    return torch.zeros(rows, values.shape[1], dtype=values.dtype).scatter_add(0, index, values)


def rms_norm(self, x):
    """The package's norm, which the exporter does not know."""
    eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * self.weight


def shares(centres, length, atoms, limit):
    """How much each edge counts: 1 up to the `limit` nearest neighbours of an atom, 0 behind them.

    Among equidistant ones at the end the package takes some by accident of rounding, and its energy changes with the order of the
    atoms. Here they share the places that are left.
    """
    order = torch.sort(centres.double() * LONGEST + torch.where(length < LONGEST - 1, length, LONGEST - 1).double())[1]
    degree = count(centres, torch.ones_like(length), atoms)
    rank = torch.arange(order.shape[0]) - (torch.cumsum(degree, 0) - degree).long()[centres[order]]
    last = count(centres[order], torch.where(rank == limit - 1, length[order], 0.0), atoms)
    reach = torch.where(degree < limit, LONGEST, last)[centres]
    nearer = length < reach - EQUAL
    taken = ~(length > reach + EQUAL)  # so that NaN is taken, and seen
    inside = count(centres, nearer.float(), atoms)
    tied = count(centres, (taken & ~nearer).float(), atoms)
    left = ((limit - inside) / torch.clamp(tied, min=1.0))[centres]
    return torch.where(nearer, 1.0, torch.where(taken, left, 0.0))


def count(owners, values, rows):
    """Sum of each owner's values."""
    return add_rows(values[:, None], owners, rows)[:, 0]


def repulsion(zbl, numbers, centres, neighbours, length):
    """Energy of each edge in eV by Ziegler, Biersack and Littmark, half of a pair's, and its derivative by the length in eV/A.

    The package looks a nuclear charge and a radius up one row too far, at Z + 1; so do we, for its models were trained with it.
    """
    first, second = numbers[centres] + 1, numbers[neighbours] + 1
    screening = zbl.a_prefactor * 0.529 / (first.float() ** zbl.a_exp + second.float() ** zbl.a_exp)
    terms = zbl.c * torch.exp(-zbl.d * (length / screening)[None])
    coulomb = 14.3996 * (first * second).float() / length
    bare = coulomb * terms.sum(0)
    slope = -bare / length - coulomb * (zbl.d * terms).sum(0) / screening
    reach = zbl.covalent_radii[first] + zbl.covalent_radii[second]
    envelope, envelope_slope = zbl._polynomial_cutoff_with_derivative(length, reach, zbl.p)
    return 0.5 * bare * envelope, 0.5 * (slope * envelope + bare * envelope_slope)


class Exported(nn.Module):
    """The energy, and forces and stress of a direct variant, from the contract's inputs."""

    def __init__(self, model):
        super().__init__()
        self.model, self.limit = model, model.system_config.max_num_neighbors

    def forward(self, numbers, positions, cell, crystal, edge_index, edge_shift):
        atoms, crystals, heads = numbers.shape[0], cell.shape[0], self.model.heads
        centres, neighbours = edge_index[0], edge_index[1]
        shift = torch.bmm(edge_shift[:, None, :], cell[crystal[centres]])[:, 0, :]
        vector = positions[neighbours] - positions[centres] + shift
        share = shares(centres, torch.sqrt((vector * vector).sum(1)), atoms, self.limit)
        kept = torch.nonzero(share)[:, 0]
        centres, neighbours, vector, share = centres[kept], neighbours[kept], vector[kept], share[kept]

        length = torch.sqrt((vector * vector).sum(1))
        nodes = self.nodes(numbers, centres, neighbours, vector, get_cutoff(length) * share[:, None])
        size = add_rows(torch.ones_like(positions[:, :1]), crystal, crystals)
        mean = add_rows(nodes, crystal, crystals) / size

        head = heads["energy"]
        energy = head.normalizer.inverse(head.mlp(mean)) * size
        energy = energy + add_rows(head.reference.linear.weight.view(-1)[numbers][:, None], crystal, crystals)
        if self.model.pair_repulsion:
            zbl = self.model.pair_repulsion_fn
            close, slope = repulsion(zbl, numbers, centres, neighbours, length)
            close = add_rows((close * share)[:, None], crystal[centres], crystals)
            # Conservative variants add the mean over atoms, so their energy of close atoms does not grow with the cell.
            energy = energy + (close / size if zbl.node_aggregation == "mean" else close)
        energy = energy[:, 0]
        if "forces" not in heads:
            return energy

        forces = heads["forces"].mlp(nodes)
        forces = forces - (add_rows(forces, crystal, crystals) / size)[crystal]
        forces = heads["forces"].normalizer.inverse(forces)
        stress = self.stress(mean)
        if self.model.pair_repulsion:
            pull = (slope * share / length)[:, None] * vector
            forces = forces + add_rows(pull, centres, atoms) - add_rows(pull, neighbours, atoms)
            virial = (vector[:, :, None] * pull[:, None, :]).view(-1, 9)
            stress = stress + add_rows(virial, crystal[centres], crystals) / torch.det(cell)[:, None]
        return energy, forces, stress.view(-1, 3, 3)

    def nodes(self, numbers, centres, neighbours, vector, weight):
        """Features of the atoms; weights are those of the messages along edges."""
        network = self.model.model
        graph = SimpleNamespace(
            edge_features={"vectors": vector}, node_features={"atomic_numbers": numbers, "atomic_numbers_embedding": None}
        )
        nodes, edges = network._encoder(network.featurize_nodes(graph), network.featurize_edges(graph))
        for layer in network.gnn_stacks:
            nodes, edges = layer(nodes, edges, centres, neighbours, weight)
        return nodes

    def stress(self, mean):
        """The nine numbers of the direct stress, before repulsion."""
        head = self.model.heads["stress"]
        six = head.mlp(mean)
        six = head.denormalize(six, None) if hasattr(head, "denormalize") else head.normalizer.inverse(six)
        return six[:, FULL]


def load(name, weights):
    """A model by the package's name, with weights from disk or, seeded, from its initialisation."""
    if name not in pretrained.ORB_PRETRAINED_MODELS or not name.startswith("orb-") or "omol" in name or "v1" in name:
        sys.exit(f"{name} is none of the package's potentials of crystals, v2 or v3")
    if weights == "random":
        torch.manual_seed(0)
        pretrained.load_model = lambda model, *_, **__: model
    make = pretrained.ORB_PRETRAINED_MODELS[name]
    return make(weights, device="cpu", precision="float32-highest", compile=False).float().eval().requires_grad_(False)


def arrays(some, model):
    given = batch(some, model.system_config.radius, 0.0)
    return {name: given[name] for name in INPUTS}


def export(model, name, reference, path):
    outputs = ["energy", "forces", "stress"] if "forces" in model.heads else ["energy"]
    tensors = tuple(torch.tensor(array) for array in arrays(crystals()[:4], model).values())
    dynamic = {port: {i: size for i, size in enumerate(AXES[port]) if isinstance(size, str)} for port in [*INPUTS, *outputs]}
    segment_ops.segment_sum, nn.RMSNorm.forward = add_rows, rms_norm
    torch.onnx.export(Exported(model), tensors, path, dynamo=False, opset_version=18, input_names=INPUTS, output_names=outputs,
                      dynamic_axes=dynamic)  # fmt: skip
    metadata = {
        "name": "Orb", "version": name, "license": "Apache-2.0 (package orb-models)", "source": "PyPI orb-models",
        "cutoff": str(model.system_config.radius), "elements": ELEMENTS, "energy_reference": reference,
    }  # fmt: skip
    stamp(path, metadata, {output: UNITS[output] for output in outputs})


def tested(model):
    """The crystals that exports are checked with, and strained ones; not those in which the package has no rule, see `shares`."""
    random = np.random.default_rng(0)
    strained = [
        (numbers, frac, lattice @ (np.eye(3) + 0.03 * random.normal(size=(3, 3)))) for numbers, frac, lattice in crystals()
    ]
    return [crystal for crystal in [*crystals(), *strained] if decided(crystal, model.system_config)]


def decided(crystal, graph):
    """Whether the neighbours of each atom that are taken are nearer than those that are not."""
    centres, _, _, distances = edges(*crystal[1:], graph.radius)
    ordered = [np.sort(distances[centres == atom]) for atom in range(len(crystal[0]))]
    last = [near[graph.max_num_neighbors - 1 :][:2] for near in ordered if len(near) > graph.max_num_neighbors]
    return all(nearer + EQUAL < farther for nearer, farther in last)


def package(model, some):
    """Energies, forces and stresses by the package's calculator: its own graphs, its own code.

    It is given the shortest lattice vectors of each crystal, for it misses neighbours in skewed cells.
    """
    calculator = ORBCalculator(model, device="cpu")
    results = []
    for numbers, frac, lattice in some:
        short = minkowski_reduce(np.asarray(lattice))[0]
        calculator.calculate(Atoms(numbers, positions=np.asarray(frac) @ lattice, cell=short, pbc=True))
        results.append(dict(calculator.results))
    return results


def check(model, some, results, path):
    """The largest deviations of the file from the package's results, with crystals alone and in one batch; energies per atom."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, scatters may lose rows
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    together = dict(zip(names, session.run(names, arrays(some, model))))
    ends = np.cumsum([len(numbers) for numbers, *_ in some])
    worst = dict.fromkeys(names, 0.0)
    for i, (crystal, wanted) in enumerate(zip(some, results)):
        alone = dict(zip(names, session.run(names, arrays([crystal], model))))
        rows = slice(ends[i] - len(crystal[0]), ends[i])
        for name in names:
            given = [alone[name] if name == "forces" else alone[name][0], together[name][rows if name == "forces" else i]]
            value = wanted[name][FULL].reshape(3, 3) if name == "stress" else wanted[name]
            scale = {"energy": len(crystal[0]), "forces": 1 + np.abs(wanted["forces"]).max(), "stress": 1}[name]
            worst[name] = max(worst[name], *(np.abs(g - value).max() / scale for g in given))
    return worst


if __name__ == "__main__":
    variant, weights, out, scale = sys.argv[1:]
    potential = load(variant, weights)
    compared = tested(potential)
    expected = package(potential, compared)  # before parts of the package are replaced
    export(potential, variant, scale, out)
    errors = check(potential, compared, expected, out)
    deviations = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
    print(f"{out}: largest deviations from the package in {len(compared)} crystals: {deviations}")
    if not all(error < TOLERANCES[name] for name, error in errors.items()):
        sys.exit("the exported file is not the package's model")
