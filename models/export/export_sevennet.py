"""Exports SevenNet-0 (Park et al., J. Chem. Theory Comput. 20, 4857 (2024)) to an ONNX file under Temper's contract.

    pip install -r requirements.txt -r requirements-sevennet.txt
    python export_sevennet.py OUT.onnx [CHECKPOINT]

CHECKPOINT is a name that the package knows (default 7net-0, whose weights come with it) or a file. The layers are the package's
own; only its sums over neighbours and atoms are written so that they export, and forces are left to Temper's differentiator.
The file is checked against the package's calculator before the script ends.
"""

import sys
import warnings

warnings.filterwarnings("ignore")

import e3nn
import numpy as np
import onnxruntime
import torch
from ase import Atoms
from torch import nn

e3nn.set_optimization_defaults(jit_script_fx=False)  # scripted layers do not trace

import e3nn.nn._extract
import sevenn._keys as KEY
import sevenn.nn.convolution
from sevenn.calculator import SevenNetCalculator
from sevenn.util import load_checkpoint, pretrained_name_to_path

from contract import AXES, stamp
from inputs import batch
from tested import crystals, extract

INPUTS = ["atomic_numbers", "positions", "cell", "batch", "edge_index", "edge_shift"]
TOLERANCE = 1e-4  # eV/atom: what float32 allows


def add_rows(values, owners, rows):
    """Sums of each owner's rows. The exporter loses the sum of `scatter_reduce_` and of `index_add`."""
    index = owners[:, None].expand(-1, values.shape[1])
    return torch.zeros(rows, values.shape[1], dtype=values.dtype).scatter_add(0, index, values)


sevenn.nn.convolution.message_gather = lambda nodes, owners, message: add_rows(message, owners, nodes.shape[0])


e3nn.nn._extract.Extract.forward = extract


class Exported(nn.Module):
    """The energy from the contract's inputs."""

    def __init__(self, model):
        super().__init__()
        left_out = ("reduce_total_enegy", "force_output", "edge_preprocess")
        self.layers = nn.ModuleList(layer for name, layer in model.named_children() if name not in left_out)
        self.register_buffer("kind", model.z_to_onehot_tensor.clone())

    def forward(self, atomic_numbers, positions, cell, batch, edge_index, edge_shift):
        centres, neighbours = edge_index[0], edge_index[1]
        shift = torch.bmm(edge_shift[:, None, :], cell[batch[centres]])[:, 0, :]
        data = {
            KEY.NODE_FEATURE: self.kind[atomic_numbers],
            KEY.EDGE_IDX: edge_index,
            KEY.EDGE_VEC: positions[neighbours] + shift - positions[centres],
            KEY.BATCH: batch,
        }
        for layer in self.layers:
            data = layer(data)
        return add_rows(data[KEY.ATOMIC_ENERGY].view(-1, 1), batch, cell.shape[0])[:, 0]


def arrays(some, cutoff):
    given = batch(some, cutoff, 0.0)
    return {name: given[name] for name in INPUTS}


def export(model, cutoff, elements, path, name):
    module = Exported(model).eval().requires_grad_(False)
    tensors = tuple(torch.tensor(array) for array in arrays(crystals()[:4], cutoff).values())
    dynamic = {port: {i: size for i, size in enumerate(AXES[port]) if isinstance(size, str)} for port in [*INPUTS, "energy"]}
    torch.onnx.export(module, tensors, path, dynamo=False, opset_version=18, input_names=INPUTS, output_names=["energy"],
                      dynamic_axes=dynamic)  # fmt: skip
    metadata = {
        "name": "SevenNet", "version": name, "license": "MIT (package sevenn)", "source": "PyPI sevenn",
        "cutoff": str(cutoff), "elements": ",".join(map(str, elements)), "energy_reference": "PBE",
    }  # fmt: skip
    stamp(path, metadata, {"energy": "eV"})


def check(checkpoint, cutoff, path):
    """Energies of the file, alone and in one batch, against the package's calculator (its own graphs, its own layers)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, scatters may lose rows
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    counts = np.array([len(numbers) for numbers, *_ in crystals()])
    together = session.run(["energy"], arrays(crystals(), cutoff))[0]
    alone = np.array([session.run(["energy"], arrays([c], cutoff))[0][0] for c in crystals()])
    calculator = SevenNetCalculator(checkpoint, device="cpu")
    expected = []
    for numbers, frac, cell in crystals():
        atoms = Atoms(numbers, scaled_positions=frac, cell=cell, pbc=True)
        atoms.calc = calculator
        expected.append(atoms.get_potential_energy())
    error = max(np.abs((given - expected) / counts).max() for given in (together, alone))
    print(f"{path}: largest deviation from the package {error:.1e} eV/atom")
    if not error < TOLERANCE:
        sys.exit("the exported file is not the package's model")


if __name__ == "__main__":
    checkpoint = sys.argv[2] if len(sys.argv) > 2 else "7net-0"
    known = pretrained_name_to_path(checkpoint) if len(sys.argv) < 3 else checkpoint
    loaded = load_checkpoint(known)
    potential = loaded.build_model()
    distance, numbers = float(loaded.config["cutoff"]), sorted(potential.type_map)
    export(potential, distance, numbers, sys.argv[1], checkpoint)
    check(checkpoint, distance, sys.argv[1])
