"""Relaxations by ASE (FIRE, with and without a FrechetCellFilter) with CHGNet 0.3.0 in PyTorch, of textbook crystals that are strained
and displaced by a formula. Writes potential.jsonl beside itself.

    pip install ase==3.29.0 pymatgen==2026.10.24 torch==2.9.1 chgnet==0.4.2
    python potential.py
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from chgnet.model import CHGNet
from chgnet.model.dynamics import CHGNetCalculator

here = Path(__file__).parent
sys.path.insert(0, str(here.parent))
from crystals import as_row, textbook  # noqa: E402

warnings.simplefilter("ignore")
NAMES = ["aluminium", "sodium chloride", "nickel aluminide", "rutile", "zinc oxide"]
FMAX, STEPS = 0.02, 300
calculator = CHGNetCalculator(model=CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False), use_device="cpu")


def disturbed(row):
    """Sines of different frequencies, so that nothing is symmetric."""
    count = len(row["species"])
    strain = 0.04 * np.sin(1.0 + 2.0 * np.arange(9).reshape(3, 3))
    moves = 0.02 * np.sin(3.0 + 5.0 * np.arange(3 * count).reshape(count, 3))
    cell = np.round(np.array(row["lattice"]) @ (np.eye(3) + strain), 6)
    return row | {"lattice": cell.tolist(), "frac_coords": np.round(np.array(row["frac_coords"]) + moves, 6).tolist()}


def relaxed(row, cell):
    lattice = np.array(row["lattice"])
    atoms = Atoms(row["species"], cell=lattice, pbc=True)
    atoms.set_positions(np.array(row["frac_coords"]) @ lattice)
    atoms.calc = calculator
    start = float(atoms.get_potential_energy())
    optimiser = FIRE(FrechetCellFilter(atoms) if cell == "frechet" else atoms, logfile=None)
    converged = bool(optimiser.run(fmax=FMAX, steps=STEPS))
    return {
        "cell": cell,
        "ase_converged": converged,
        "ase_steps": optimiser.nsteps,
        "ase_start_energy": start,
        "ase_energy": float(atoms.get_potential_energy()),
        "ase_lattice": np.round(atoms.cell.array, 6).tolist(),
        "ase_frac_coords": np.round(atoms.get_scaled_positions(wrap=False), 6).tolist(),
    }


crystals = textbook()
with open(here / "potential.jsonl", "w") as file:
    for name in NAMES:
        for cell in ["frechet", "none"] if name == "rutile" else ["frechet"]:
            row = {"id": f"{name}, {cell}"} | disturbed(as_row(crystals[name]))
            file.write(json.dumps(row | relaxed(row, cell)) + "\n")
            file.flush()
