"""Relaxes crystals one after the other with ASE (FIRE on a FrechetCellFilter) and the PyTorch CHGNet 0.3.0.

    python relax_ase.py CRYSTALS.jsonl OUT.jsonl [--fmax 0.02] [--steps 500] [--fix-symmetry] [--part I/N]

with torch 2.9.1, chgnet 0.4.2 and ase 3.29.0. A row of the file has `id`, `lattice`, `species` and `frac_coords`. A row of the result
has `id`, `converged`, `steps`, `energy` (eV), `lattice`, `frac_coords`, `f_max`, `stress_max`, `cpu_s` and `wall_s`; or `error`.
`--part` takes every N-th row from the I-th (counted from 0) on: one process a core. Graphs, forces and the optimiser are in the
times, loading is not.
"""

import argparse
import json
import time
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import torch
from ase import Atoms
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from chgnet.model import CHGNet
from chgnet.model.dynamics import CHGNetCalculator


def relax(row, calculator, fmax, steps, fix_symmetry):
    cell = np.array(row["lattice"])
    atoms = Atoms(row["species"], cell=cell, scaled_positions=row["frac_coords"], pbc=True)
    # As they are given: ASE would move them into the cell.
    atoms.set_positions(np.array(row["frac_coords"]) @ cell)
    if fix_symmetry:
        atoms.set_constraint(FixSymmetry(atoms))
    atoms.calc = calculator
    first = float(atoms.get_potential_energy())
    optimiser = FIRE(FrechetCellFilter(atoms), logfile=None)
    converged = bool(optimiser.run(fmax=fmax, steps=steps))
    forces = atoms.get_forces()
    return {
        "id": row["id"],
        "converged": converged,
        "steps": optimiser.nsteps,
        "energy": float(atoms.get_potential_energy()),
        "start_energy": first,
        "lattice": atoms.cell.array.tolist(),
        "frac_coords": atoms.get_scaled_positions(wrap=False).tolist(),
        "f_max": float(np.linalg.norm(forces, axis=1).max()),
        "stress_max": float(np.abs(atoms.get_stress()).max()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("crystals")
    parser.add_argument("out")
    parser.add_argument("--fmax", type=float, default=0.02)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--fix-symmetry", action="store_true")
    parser.add_argument("--part", default="0/1")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, arguments.part.split("/"))
    rows = [json.loads(line) for line in open(arguments.crystals)][part::parts]
    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    calculator = CHGNetCalculator(model=model, use_device="cpu", on_isolated_atoms="error")
    with open(arguments.out, "w") as out:
        for row in rows:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                found = relax(row, calculator, arguments.fmax, arguments.steps, arguments.fix_symmetry)
            except Exception as error:
                found = {"id": row["id"], "error": f"{type(error).__name__}: {error}"}
            found |= {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
            out.write(json.dumps(found) + "\n")
            out.flush()
