"""Of samples that were evaluated: those that are metastable and novel.

    python3 keep.py out.jsonl relaxed.jsonl relaxed-evaluation/structures.csv  samples.jsonl evaluation/structures.csv ...

Samples and their tables alternate: JSON lines, and the table of `temper evaluate --reference KNOWN` with the columns id, formula,
space_group, match and e_hull. Of each space group and formula, the first crystal is kept, so files that come first are preferred. Of
those that differ only in which lanthanide they have, or yttrium, the first 4 are kept, and 8 in the triclinic and monoclinic space
groups, where there are few crystals.
"""

import collections
import csv
import json
import math
import re
import sys

RARE_EARTHS = set("Y La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu".split())
METASTABLE = (-0.5, 0.1)  # eV/atom; far below the hull, a potential's numbers make no sense
LAST_MONOCLINIC = 15


def family(group, species):
    amounts = collections.Counter("rare earth" if symbol in RARE_EARTHS else symbol for symbol in species)
    divisor = math.gcd(*amounts.values())
    return group, tuple(sorted((symbol, number // divisor) for symbol, number in amounts.items()))


def good(row):
    least, most = METASTABLE
    return row["space_group"] and row["e_hull"] and least <= float(row["e_hull"]) <= most and not row["match"]


def main(out, *files):
    if not files or len(files) % 2:
        sys.exit(__doc__)
    seen, of_family = set(), collections.Counter()
    with open(out, "w") as kept:
        for samples, table in zip(files[::2], files[1::2]):
            rows = {row["id"]: row for row in csv.DictReader(open(table))}
            taken = 0
            for line in open(samples):
                crystal = json.loads(line)
                row = rows.get(crystal["id"])
                if row is None or not good(row):
                    continue
                group, formula = int(row["space_group"]), row["formula"]
                most = 8 if group <= LAST_MONOCLINIC else 4
                kin = family(group, crystal["species"])
                if (group, formula) in seen or of_family[kin] == most:
                    continue
                seen.add((group, formula))
                of_family[kin] += 1
                taken += 1
                crystal["id"] = f"found-{group}-{formula}"
                kept.write(json.dumps(crystal) + "\n")
            print(f"{samples}: {taken}")
    print(f"{len(seen)} crystals, {len(of_family)} families")


main(*sys.argv[1:])
