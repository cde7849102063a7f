"""Energies above hull per second of pymatgen, one phase diagram per question from a table that is indexed by chemical system.

    python hull.py ENTRIES.csv[.gz] QUESTIONS.csv

with pymatgen 2026.10.24, on one core. ENTRIES has the columns formula and energy_per_atom, QUESTIONS formula and e_form.
"""

import csv
import gzip
import sys
import time
from collections import defaultdict
from itertools import combinations

from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition


def rows(path):
    return csv.DictReader((gzip.open if path.endswith(".gz") else open)(path, "rt"))


def entry(formula, energy):
    composition = Composition(formula)
    return PDEntry(composition, energy * composition.num_atoms)


def inside(by_system, elements):
    """Entries of the system and of what it contains."""
    subsets = (frozenset(s) for size in range(1, len(elements) + 1) for s in combinations(elements, size))
    return [e for subset in subsets for e in by_system.get(subset, [])]


def distances(by_system, questions):
    for question in questions:
        PhaseDiagram(inside(by_system, question.elements)).get_e_above_hull(question, allow_negative=True)


if __name__ == "__main__":
    by_system = defaultdict(list)
    for row in rows(sys.argv[1]):
        e = entry(row["formula"], float(row["energy_per_atom"]))
        by_system[frozenset(e.elements)].append(e)
    questions = [entry(row["formula"], float(row["e_form"])) for row in rows(sys.argv[2])][:200]
    start = time.process_time()
    distances(by_system, questions)
    spent = time.process_time() - start
    print(f"by system: {1e3 * spent / len(questions):.2f} CPU-ms each, {len(questions) / spent:.0f}/s")
