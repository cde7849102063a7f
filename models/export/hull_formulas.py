"""Entries for formulas that a hull of a potential lacks: formation energies of the Materials Project, on the scale of the potential.

    python hull_formulas.py POTENTIAL.hull OUT.csv --structures STRUCTURES... --current hull_entries.csv.gz \
        --legacy mp_ground_states_ef_ed.csv.gz

POTENTIAL.hull was built from the structures; the others are tables of formulas and formation energies (eV/atom). A formula with a
structure is left out: the potential's own energy is in the hull, or was not low enough.

A formation energy becomes an energy by adding those of the elements. The hull's own are the potential's, whose mean error is not
that of compounds, so one number per element is fitted (least squares) to what the potential gives for the formulas that both know.

The legacy ground states (2018) were corrected in another way. They are taken where the two tables agree: compounds of metals alone,
and those with B, C, Ge, P or As and none of the others below.
"""

import argparse
import collections
import csv
import gzip
import json
import re
import struct
from functools import reduce
from math import gcd
from pathlib import Path

import numpy as np

# Differences of the two tables by the element with the strongest influence: medians of 0.02 (Si) to 0.3 eV/atom (Br), or wide.
DISAGREE = {"O", "S", "Se", "Te", "F", "Cl", "Br", "I", "N", "H", "Sb", "Si"}
SYMBOLS = """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru
Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra
Ac Th Pa U Np Pu""".split()

csv.field_size_limit(2**31 - 1)


def reduced(amounts):
    """Elements and their smallest whole amounts."""
    whole = {element: round(n) for element, n in amounts.items() if round(n) > 0}
    divisor = reduce(gcd, whole.values())
    return tuple(sorted((element, n // divisor) for element, n in whole.items()))


def parsed(formula):
    """The composition of a formula such as Ca(IrP)2."""
    groups = [collections.Counter()]
    for opened, element, closed, n in re.findall(r"(\()|([A-Z][a-z]?)|(\))|([\d.]+)", formula):
        if opened:
            groups.append(collections.Counter())
        elif element or closed:
            last = collections.Counter({element: 1}) if element else groups.pop()
            groups[-1].update(last)
        else:
            for name, amount in last.items():
                groups[-1][name] += amount * (float(n) - 1)
    return reduced(groups[0])


def text(composition):
    return "".join(f"{element}{n if n > 1 else ''}" for element, n in composition)


def entries(path):
    """(composition, energy per atom) of the stable phases of a .hull file; docs of the format: host/src/hull/file.rs."""
    data = Path(path).read_bytes()
    first = data.index(b"\n")
    second = data.index(b"\n", first + 1)
    at = second + 1
    for _ in range(json.loads(data[first + 1 : second])["entries"]):
        count, amounts = data[at], {}
        for i in range(count):
            number, amount = struct.unpack_from("<Bd", data, at + 1 + 9 * i)
            amounts[SYMBOLS[number - 1]] = amount
        at += 1 + 9 * count
        energy, length = struct.unpack_from("<dH", data, at)
        at += 10 + length
        yield reduced(amounts), energy


def with_structure(paths):
    """The compositions of structures: the CIFs of a CSV, or the species of JSON lines."""
    found = set()
    for path in paths:
        with open(path, newline="") as source:
            if path.endswith(".csv"):
                sums = (re.search(r"_chemical_formula_sum\s+(.*)", row["cif"]).group(1) for row in csv.DictReader(source))
                found.update(parsed(formula) for formula in sums)
            else:
                found.update(reduced(collections.Counter(json.loads(line)["species"])) for line in source)
    return found


def lowest(path, column):
    """The lowest formation energy of each composition of a table, elements left out."""
    table = {}
    with gzip.open(path, "rt", newline="") as source:
        for row in csv.DictReader(source):
            composition, energy = parsed(row["formula"]), float(row[column])
            if len(composition) > 1:
                table[composition] = min(energy, table.get(composition, energy))
    return table


def fractions(compositions, elements):
    place = {element: i for i, element in enumerate(elements)}
    matrix = np.zeros((len(compositions), len(elements)))
    for row, composition in zip(matrix, compositions):
        for element, n in composition:
            row[place[element]] = n / sum(n for _, n in composition)
    return matrix


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("hull")
    parser.add_argument("out")
    parser.add_argument("--structures", nargs="+", required=True)
    parser.add_argument("--current", required=True)
    parser.add_argument("--legacy", required=True)
    arguments = parser.parse_args()

    phases = list(entries(arguments.hull))
    references = {composition[0][0]: energy for composition, energy in phases if len(composition) == 1}
    elements = sorted(references)
    reference = np.array([references[element] for element in elements])
    current = lowest(arguments.current, "energy_per_atom")

    potential = {composition: energy for composition, energy in phases if len(composition) > 1}
    shared = [composition for composition in potential if composition in current]
    parts = fractions(shared, elements)
    difference = np.array([potential[c] - current[c] for c in shared]) - parts @ reference
    shift = np.linalg.lstsq(parts, difference, rcond=None)[0]
    rest = difference - parts @ shift
    print(f"{len(shared)} formulas of both: potential - table {difference.mean():+.3f}, rms {difference.std():.3f} eV/atom;")
    print(f"with a number per element {rest.mean():+.4f}, rms {rest.std():.3f}; largest {elements[abs(shift).argmax()]} {abs(shift).max():.2f}")

    legacy = lowest(arguments.legacy, "e_form")
    agreed = {c: e for c, e in legacy.items() if c not in current and not DISAGREE & {element for element, _ in c}}
    known = with_structure(arguments.structures)
    rows = []
    for source, table in (("mp20", current), ("mp2018", agreed)):
        new = [c for c in table if c not in known and all(element in references for element, _ in c)]
        energies = fractions(new, elements) @ (reference + shift) + np.array([table[c] for c in new])
        rows += [(text(c), f"{energy:.6f}", f"{source}:{text(c)}") for c, energy in zip(new, energies)]
        print(f"{source}: {len(new)} formulas without a structure")
    with open(arguments.out, "w", newline="") as target:
        csv.writer(target).writerows([("formula", "energy_per_atom", "id"), *rows])
