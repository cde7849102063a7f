"""Compares relaxations by Temper with those by ASE of the same crystals.

    temper relax CRYSTALS.jsonl --model models/chgnet-0.3.0 -o ours.jsonl
    python relax_ase.py CRYSTALS.jsonl ase.jsonl
    python relax_compare.py ours.jsonl ase.jsonl

Prints, over the crystals that both relaxed: differences of energy (eV/atom), lattice vectors (A), volume (%) and steps, as median, 90th
percentile and maximum; and ASE's processor time.
"""

import json
import sys

import numpy as np


def rows(path):
    return {row["id"]: row for row in map(json.loads, open(path))}


def line(name, values, digits):
    values = np.sort(np.abs(values))
    at = [np.median(values), np.quantile(values, 0.9), values.max()]
    print(f"{name}: median {at[0]:.{digits}g}, 90 % below {at[1]:.{digits}g}, largest {at[2]:.{digits}g}")


if __name__ == "__main__":
    ours, ase = rows(sys.argv[1]), rows(sys.argv[2])
    both = [(ours[key], row) for key, row in ase.items() if key in ours and "error" not in row]
    only = [key for key, row in ase.items() if key not in ours or "error" in row]
    print(f"{len(both)} crystals relaxed by both, {len(only)} not: {only}")
    print(f"converged: {sum(o['converged'] for o, _ in both)} and {sum(a['converged'] for _, a in both)}")
    atoms = np.array([len(a["frac_coords"]) for _, a in both])
    line("energy, eV/atom", [(o["energy"] - a["energy"]) for o, a in both] / atoms, 2)
    cells = [(np.array(o["lattice"]), np.array(a["lattice"])) for o, a in both]
    line("lattice vectors, A", [np.abs(o - a).max() for o, a in cells], 2)
    line("volume, %", [100 * (np.linalg.det(o) / np.linalg.det(a) - 1) for o, a in cells], 2)
    line("steps", [o["steps"] - a["steps"] for o, a in both], 3)
    steps = sum(a["steps"] + 1 for _, a in both)
    print(f"ASE: {steps} evaluations, {sum(a['cpu_s'] for _, a in both):.1f} CPU-s, {sum(a['wall_s'] for _, a in both):.1f} s")
    print(f"the same steps here: {sum(o['steps'] + 1 for o, _ in both)} evaluations")
