"""Energies above hull by pymatgen's PhaseDiagram, of made-up entries. Writes entries.csv and above.csv beside itself.

    pip install pymatgen==2026.10.24
    python generate.py
"""

import csv
import itertools
import random
from pathlib import Path

from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

ELEMENTS = ["Li", "Fe", "P", "O", "Cl"]
here = Path(__file__).parent
draw = random.Random(20261126)


def formulas():
    """Compounds of two to four of the elements with small amounts."""
    for n in (2, 3, 4):
        for symbols in itertools.combinations(ELEMENTS, n):
            for _ in range({2: 6, 3: 6, 4: 4}[n]):
                yield "".join(f"{s}{draw.randint(1, 5)}" for s in symbols)


def energy(formula, formation):
    """A total energy per atom: the elements lie at made-up energies off zero."""
    zero = {"Li": -1.9, "Fe": -8.3, "P": -5.4, "O": -4.9, "Cl": -1.8}
    composition = Composition(formula)
    return round(sum(zero[e.symbol] * x for e, x in composition.fractional_composition.items()) + formation, 6)


entries = [(e, energy(e, 0.0)) for e in ELEMENTS] + [("O3", energy("O3", 0.05)), ("P4", energy("P4", 0.0))]
entries += [(f, energy(f, draw.uniform(-2.0, 0.2))) for f in formulas()]
# The same composition twice, and a tie.
entries += [("Li2O2", energy("Li2O2", -1.1)), ("Li4O4", energy("Li4O4", -1.0)), ("LiO", energy("LiO", -1.1))]
questions = [(f, energy(f, draw.uniform(-2.5, 0.5))) for f in formulas()] + entries[:40]

diagram = PhaseDiagram([PDEntry(Composition(f), e * Composition(f).num_atoms) for f, e in entries])
with open(here / "entries.csv", "w", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["formula", "energy_per_atom"])
    writer.writerows(entries)
with open(here / "above.csv", "w", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["formula", "energy_per_atom", "e_above_hull", "decomposition"])
    for formula, per_atom in questions:
        composition = Composition(formula)
        parts = diagram.get_decomposition(composition)
        above = per_atom - diagram.get_hull_energy_per_atom(composition)
        text = ";".join(sorted(f"{entry.composition.reduced_formula}:{amount:.8f}" for entry, amount in parts.items()))
        writer.writerow([formula, per_atom, f"{above:.12f}", text])
