"""Steps of ASE's FIRE, with and without a FrechetCellFilter, in a potential of pairs, for textbook crystals that are strained and
displaced by a formula. Writes pairs.jsonl beside itself. The potential is that of host/src/relax/tests.rs.

    pip install ase==3.29.0 pymatgen==2026.10.24
    python pairs.py
"""

import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import FIRE
from ase.stress import full_3x3_to_voigt_6_stress

here = Path(__file__).parent
sys.path.insert(0, str(here.parent))
from crystals import as_row, textbook  # noqa: E402

NAMES = ["caesium chloride", "zinc oxide", "strontium titanate", "rutile", "sodium chloride"]
CUTOFF, STEPS = 5.5, 40


class Pairs(Calculator):
    """Lennard-Jones pairs with minima at the sum of two radii, switched off smoothly at the cutoff."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        i, j, r, vector = neighbor_list("ijdD", atoms, CUTOFF)
        radius = 1.1 + 0.006 * atoms.numbers
        x = ((radius[i] + radius[j]) / r) ** 6
        energy, slope = 0.4 * (x * x - 2 * x), 0.4 * 12 * (x - x * x) / r
        rest = 1 - (r / CUTOFF) ** 2
        slope = slope * rest**3 - energy * 6 * r / CUTOFF**2 * rest**2
        pull = (slope / r)[:, None] * vector
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, pull)
        stress = 0.5 * pull.T @ vector / atoms.get_volume()
        energy = 0.5 * float((energy * rest**3).sum())
        self.results = {"energy": energy, "forces": forces, "stress": full_3x3_to_voigt_6_stress(stress)}


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
    atoms.calc = Pairs()
    start = atoms.get_potential_energy()
    target = FrechetCellFilter(atoms) if cell == "frechet" else atoms
    # No force is so small: all steps are done.
    FIRE(target, logfile=None).run(fmax=1e-12, steps=STEPS)
    return {
        "cell": cell,
        "steps": STEPS,
        "start_energy": start,
        "energy": atoms.get_potential_energy(),
        "end_lattice": atoms.cell.array.tolist(),
        "end_frac_coords": atoms.get_scaled_positions(wrap=False).tolist(),
        "f_max": float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
    }


crystals = textbook()
with open(here / "pairs.jsonl", "w") as file:
    for name in NAMES:
        for cell in ["frechet", "none"]:
            row = {"id": f"{name}, {cell}"} | disturbed(as_row(crystals[name]))
            file.write(json.dumps(row | relaxed(row, cell)) + "\n")
            file.flush()
