"""Writes trained networks as ONNX files under Temper's contract, and holds each file against PyTorch.

    python export.py TRAINED.pt PROPERTIES OUT.onnx GRAPHS.npz --name NAME --version VERSION [--crystals DUMP.jsonl]

PROPERTIES as in train.py. GRAPHS names the elements that were trained on (folds 2 to 9); no others are declared. `--crystals`
writes made-up crystals and PyTorch's values for them, as the host's test reads them.
"""

import argparse
import json
import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import onnxruntime
import torch
from torch import nn

from network import Network
from tables import CUTOFF, NUMBER, SYMBOLS, lattice
from train import LIMITS, Graphs
from contract import stamp  # tables.py puts models/export on the path
from inputs import batch

INPUTS = {"atomic_numbers": ["n"], "positions": ["n"], "cell": ["b"], "batch": ["n"], "edge_index": [None, "e"], "edge_shift": ["e"]}
UNITS = {"band_gap": "eV", "eps_total": "1", "n": "1"}
NAMES = {"n": "refractive_index"}
TOLERANCE = 1e-4  # relative, or absolute below 1


class Exported(nn.Module):
    """The network from the contract's inputs."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, atomic_numbers, positions, cell, batch, edge_index, edge_shift):
        centres, neighbours = edge_index[0], edge_index[1]
        shift = torch.bmm(edge_shift[:, None, :], cell[batch[centres]])[:, 0, :]
        vector = positions[neighbours] + shift - positions[centres]
        distances = torch.sqrt((vector * vector).sum(1))
        values = self.network(atomic_numbers, centres, neighbours, distances, batch, cell.shape[0])
        return tuple(values[:, k] for k in range(values.shape[1]))


def made_up():
    """Crystals of no data set: cubic ones, single atoms, skewed and long cells, random positions."""
    random = np.random.default_rng(7)
    z = NUMBER
    rocksalt = ([z["Na"], z["Cl"]], [[0, 0, 0], [0.5, 0.5, 0.5]], lattice(4.0, 4.0, 4.0, 60, 60, 60))
    perovskite = ([z["Sr"], z["Ti"], z["O"], z["O"], z["O"]],
                  [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], lattice(3.9, 3.9, 3.9, 90, 90, 90))
    fluorite = ([z["Ca"], z["F"], z["F"]], [[0, 0, 0], [0.25] * 3, [0.75] * 3], lattice(3.9, 3.9, 3.9, 60, 60, 60))
    one_atom = ([z["Al"]], [[0.2, 0.3, 0.4]], lattice(2.9, 2.9, 2.9, 60, 60, 60))
    small = ([z["Si"]], [[0, 0, 0]], lattice(2.2, 2.3, 2.4, 88, 95, 103))
    skewed = (rocksalt[0], rocksalt[1], np.array([[1, 0, 0], [2, 1, 0], [-3, 1, 1]]) @ rocksalt[2])
    shuffled = [([z[s] for s in ("Ba", "Bi", "O", "F", "Mg", "Zn", "S", "O")], random.random((8, 3)), lattice(6.1, 5.4, 7.2, 83, 97, 105)),
                ([z[s] for s in ("Li", "P", "O", "O", "K", "I")], random.random((6, 3)), lattice(4.5, 9.8, 5.0, 90, 112, 71))]
    return [rocksalt, perovskite, fluorite, one_atom, small, skewed, *shuffled]


def arrays(crystals):
    given = batch(crystals, CUTOFF, 0.0)
    return {name: given[name] for name in INPUTS}


def export(network, names, elements, options):
    tensors = tuple(torch.tensor(value) for value in arrays(made_up()[:4]).values())
    dynamic = {name: {i: size for i, size in enumerate(sizes) if size} for name, sizes in INPUTS.items()}
    torch.onnx.export(Exported(network), tensors, options.out, dynamo=False, opset_version=18, input_names=list(INPUTS),
                      output_names=names, dynamic_axes=dynamic | {name: {0: "b"} for name in names})  # fmt: skip
    stamp(options.out, {"name": options.name, "version": options.version, "license": "CC-BY-4.0 (data: Materials Project)",
                        "source": "models/training", "cutoff": str(CUTOFF), "elements": ",".join(map(str, elements))},
          {name: UNITS[key] for name, key in zip(names, network.limits)})  # fmt: skip


def in_pytorch(network, crystals):
    """[crystals, properties], one crystal at a time."""
    with torch.no_grad():
        return np.array([[float(x) for x in Exported(network)(*map(torch.tensor, arrays([c]).values()))] for c in crystals])


def check(network, names, graphs, path):
    """The file against PyTorch: made-up crystals alone and in one batch, and the graphs of the test set."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, scatters may lose rows
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def error(feed, expected):
        given = np.stack(session.run(names, feed), 1)
        return float((np.abs(given - expected) / np.maximum(1, np.abs(expected))).max())

    expected = in_pytorch(network, made_up())
    alone = [error(arrays([crystal]), row[None]) for crystal, row in zip(made_up(), expected)]
    test = graphs.folds(0)
    held_out = [error(*as_fed(network, graphs.batch(test[k : k + 32]))) for k in range(0, len(test), 32)]
    worst = {"made up": max(alone), "in one batch": error(arrays(made_up()), expected), f"{len(test)} of the test set": max(held_out)}
    print(path, *(f"{name}: {value:.1e}" for name, value in worst.items()), sep="\n  ")
    if not max(worst.values()) < TOLERANCE:
        sys.exit("the exported file is not the network")


@torch.no_grad()
def as_fed(network, graph):
    """A batch of graphs as the file is fed it, distances laid along shifts in a unit cell, and the network's values."""
    numbers, centres, neighbours, distances, owners, crystals = graph
    feed = {
        "atomic_numbers": numbers, "positions": torch.zeros(len(numbers), 3), "cell": torch.eye(3).repeat(crystals, 1, 1),
        "batch": owners, "edge_index": torch.stack([centres, neighbours]),
        "edge_shift": nn.functional.pad(distances[:, None], (0, 2)),
    }  # fmt: skip
    return {name: tensor.numpy() for name, tensor in feed.items()}, network(*graph).numpy()


def dump(network, names, path):
    """The made-up crystals with PyTorch's values, which join those that the file has already."""
    with open(path, "a+") as out:
        out.seek(0)
        rows = [json.loads(line) for line in out] or [{} for _ in made_up()]
        out.truncate(0)
        for k, ((numbers, frac, cell), values) in enumerate(zip(made_up(), in_pytorch(network, made_up()))):
            crystal = {"id": str(k), "lattice": np.asarray(cell).tolist(), "species": [SYMBOLS[z] for z in numbers],
                       "frac_coords": np.asarray(frac).tolist()}  # fmt: skip
            out.write(json.dumps(rows[k] | crystal | dict(zip(names, values.tolist()))) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for argument in ("trained", "properties", "out", "graphs", "--name", "--version", "--crystals"):
        parser.add_argument(argument)
    options = parser.parse_args()
    keys = options.properties.split(",")
    network = Network({key: LIMITS[key] for key in keys}, CUTOFF).eval()
    network.load_state_dict(torch.load(options.trained, weights_only=False)["best"])
    graphs, names = Graphs(options.graphs, keys), [NAMES.get(key, key) for key in keys]
    trained_on = graphs.folds(*range(2, 10))
    elements = np.unique(np.concatenate([graphs.data["numbers"][graphs.atoms[c] : graphs.atoms[c + 1]] for c in trained_on]))
    export(network, names, [int(z) for z in elements], options)
    check(network, names, graphs, options.out)
    if options.crystals:
        dump(network, names, options.crystals)
