"""Matches pairs of structures with pymatgen's StructureMatcher and its defaults, one after the other.

    python matcher.py PAIRS.jsonl

with pymatgen 2026.10.24. A row has `s1` and `s2`, each with `lattice`, `species` and `frac_coords`. Both the verdict (`fit`) and the
distances (`get_rms_dist`) are computed, as `temper match` does. Reading the file is not in the time.
"""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")

from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure


def structure(row):
    return Structure(Lattice(row["lattice"]), row["species"], row["frac_coords"])


with open(sys.argv[1]) as file:
    rows = [json.loads(line) for line in file]
pairs = []
for row in rows:
    try:
        pairs.append((structure(row["s1"]), structure(row["s2"])))
    except Exception:
        pass

matcher = StructureMatcher()
for _ in range(2):
    wall, cpu = time.perf_counter(), time.process_time()
    fits = 0
    for first, second in pairs:
        fits += matcher.fit(first, second)
        matcher.get_rms_dist(first, second)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    n = len(pairs)
    print(f"{n} pairs, {fits} fit: {n / wall:.1f}/s, {1000 * cpu / n:.2f} CPU-ms each")
