"""Exports a MACE potential (Batatia et al., NeurIPS 2022) to an ONNX file under Temper's contract.

    pip install -r requirements.txt -r requirements-mace.txt
    python export_mace.py MODEL OUT.onnx ENERGY_REFERENCE

MODEL is a `.model` file as MACE saves it, or `random` for an untrained one, by which this script was tested: no weights come
with the package. ENERGY_REFERENCE is the scale of its training data: PBE for MACE-MP.
The layers are the package's own; forces are left to Temper's differentiator. The file is checked against the package's
calculator before the script ends. A `.model` file is a pickle, which can run code: use those you trust.
"""

import os
import sys
import tempfile
import warnings

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # e3nn 0.4.4 reads a table of its own that PyTorch else refuses
warnings.filterwarnings("ignore")

import e3nn
import numpy as np
import onnxruntime
import torch
from ase import Atoms
from torch import nn

e3nn.set_optimization_defaults(jit_script_fx=False)  # scripted layers do not trace

import e3nn.nn._extract
import mace.modules.models as models
from mace import modules
from mace.modules import utils
from mace.calculators import MACECalculator
from mace.tools.scripts_utils import extract_config_mace_model

from contract import AXES, stamp
from inputs import batch
from tested import crystals, extract

INPUTS = ["atomic_numbers", "positions", "cell", "batch", "edge_index", "edge_shift"]
TOLERANCE = 1e-4  # eV/atom: what float32 allows
e3nn.nn._extract.Extract.forward = extract


def context(data, **_):
    """The package's own counts the crystals as a number, which the exporter would freeze; it also asks for gradients."""
    vector = data["positions"][data["edge_index"][1]] - data["positions"][data["edge_index"][0]] + data["shifts"]
    return utils.GraphContext(
        is_lammps=False, num_graphs=data["cell"].shape[0], num_atoms_arange=torch.arange(data["positions"].shape[0]),
        displacement=None, positions=data["positions"], vectors=vector, lengths=torch.sqrt((vector * vector).sum(1, keepdim=True)),
        cell=data["cell"], node_heads=data["head"][data["batch"]],
        interaction_kwargs=utils.InteractionKwargs(None, (0, 0)),
    )  # fmt: skip


class Exported(nn.Module):
    """The energy from the contract's inputs."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        kind = torch.zeros(119, len(model.atomic_numbers))
        kind[model.atomic_numbers, torch.arange(len(model.atomic_numbers))] = 1
        self.register_buffer("kind", kind)

    def forward(self, atomic_numbers, positions, cell, batch, edge_index, edge_shift):
        centres, neighbours = edge_index[0], edge_index[1]
        data = {
            "node_attrs": self.kind[atomic_numbers],
            "positions": positions,
            "cell": cell,
            "batch": batch,
            "edge_index": torch.stack([neighbours, centres]),  # sender, receiver
            "shifts": -torch.bmm(edge_shift[:, None, :], cell[batch[centres]])[:, 0, :],
            "head": torch.zeros_like(cell[:, 0, 0], dtype=torch.int64),
        }
        return self.model(data, compute_force=False)["energy"]


def rebuilt(path):
    """The model of a file, built again so that its generated code is not scripted, in float32."""
    saved = torch.load(path, map_location="cpu", weights_only=False).float()
    model = type(saved)(**extract_config_mace_model(saved))
    model.load_state_dict(saved.state_dict())
    return model.float().eval().requires_grad_(False)


def untrained(path):
    """A small model of random weights, saved as MACE saves them; scaled up, so that what neighbours add is of the order of eV."""
    torch.manual_seed(0)
    numbers = sorted({z for atoms, *_ in crystals() for z in atoms})
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=5.0, num_bessel=8, num_polynomial_cutoff=5, max_ell=2, interaction_cls=block, interaction_cls_first=block,
        num_interactions=2, num_elements=len(numbers), hidden_irreps=e3nn.o3.Irreps("8x0e + 8x1o"),
        MLP_irreps=e3nn.o3.Irreps("16x0e"), gate=torch.nn.functional.silu, atomic_energies=np.linspace(-8, -1, len(numbers)),
        avg_num_neighbors=30.0, atomic_numbers=numbers, correlation=3, atomic_inter_scale=500.0, atomic_inter_shift=0.1,
    )  # fmt: skip
    torch.save(model, path)


def arrays(some, cutoff):
    given = batch(some, cutoff, 0.0)
    return {name: given[name] for name in INPUTS}


def export(model, reference, path):
    cutoff = float(model.r_max)
    tensors = tuple(torch.tensor(array) for array in arrays(crystals()[:4], cutoff).values())
    dynamic = {port: {i: size for i, size in enumerate(AXES[port]) if isinstance(size, str)} for port in [*INPUTS, "energy"]}
    models.prepare_graph = context
    torch.onnx.export(Exported(model), tensors, path, dynamo=False, opset_version=18, input_names=INPUTS,
                      output_names=["energy"], dynamic_axes=dynamic)  # fmt: skip
    elements = ",".join(str(int(z)) for z in model.atomic_numbers)
    stamp(path, {"name": "MACE", "source": "PyPI mace-torch", "cutoff": str(cutoff), "elements": elements,
                 "energy_reference": reference}, {"energy": "eV"})  # fmt: skip


def expected(path):
    """Energies by the package's calculator, in float32: its own graphs, its own layers."""
    calculator = MACECalculator(path, device="cpu", default_dtype="float32")
    energies = []
    for numbers, frac, cell in crystals():
        atoms = Atoms(numbers, scaled_positions=frac, cell=cell, pbc=True)
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    return np.array(energies)


def check(energies, cutoff, path):
    """Energies of the file, alone and in one batch, against the package's."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, scatters may lose rows
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    together = session.run(["energy"], arrays(crystals(), cutoff))[0]
    alone = np.array([session.run(["energy"], arrays([c], cutoff))[0][0] for c in crystals()])
    counts = np.array([len(numbers) for numbers, *_ in crystals()])
    error = max(np.abs((given - energies) / counts).max() for given in (together, alone))
    print(f"{path}: largest deviation from the package {error:.1e} eV/atom")
    if not error < TOLERANCE:
        sys.exit("the exported file is not the package's model")


if __name__ == "__main__":
    saved, out, reference = sys.argv[1:]
    if saved == "random":
        saved = tempfile.mkdtemp() + "/random.model"
        untrained(saved)
    energies = expected(saved)  # before the package's own graph is replaced
    potential = rebuilt(saved)
    if len(getattr(potential, "heads", None) or [0]) > 1:
        sys.exit("models of several heads have not been tried")
    export(potential, reference, out)
    check(energies, float(potential.r_max), out)
