"""Crystals with measured properties, from the tables named in README.md, as the graphs the networks take.

    python tables.py OUT.npz PROPERTY TABLE...

PROPERTY is `gap` (CSV with columns cif, band_gap) or `dielectric` (CSV with structure, e_total, n; matbench's JSON with n).
What is left out is counted and printed.
"""

import ast
import csv
import gzip
import hashlib
import json
import math
import pathlib
import re
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "export"))
from inputs import edges

CUTOFF = 5.0  # angstrom
TENSOR_RANGE = (-10.0, 100.0)  # components of the dielectric tensor: arXiv 2504.02367, appendix D
SYMBOLS = ("X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo "
           "Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl "
           "Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu").split()  # fmt: skip
NUMBER = {symbol: z for z, symbol in enumerate(SYMBOLS)}


def lattice(a, b, c, alpha, beta, gamma):
    """Lattice vectors as rows; a along x, b in the plane of x and y."""
    cos = [math.cos(math.radians(angle)) for angle in (alpha, beta, gamma)]
    sin_gamma = math.sqrt(1 - cos[2] ** 2)
    y = (cos[0] - cos[1] * cos[2]) / sin_gamma
    return np.array([[a, 0, 0], [b * cos[2], b * sin_gamma, 0], [c * cos[1], c * y, c * math.sqrt(1 - cos[1] ** 2 - y**2)]])


def from_cif(text):
    """(numbers, fractional coordinates, lattice) of a CIF that lists every atom, as these tables' do."""
    if not re.search(r"_Int_Tables_number\s+1\s", text):
        raise ValueError("not in P1")
    cell = [float(re.search(rf"_cell_{key}\s+([\d.]+)", text).group(1)) for key in
            ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")]
    columns, rows = [], []
    for line in text[text.rindex("loop_") :].splitlines()[1:]:
        word = line.split()
        if len(word) == 1 and word[0].startswith("_atom_site"):
            columns.append(word[0])
        elif len(word) == len(columns) and columns:
            rows.append(dict(zip(columns, word)))
    if any(float(row.get("_atom_site_occupancy", 1)) != 1 for row in rows):
        raise ValueError("partial occupancies")
    numbers = [NUMBER[re.match("[A-Za-z]+", row["_atom_site_type_symbol"]).group(0)] for row in rows]
    return numbers, [[float(row[f"_atom_site_fract_{axis}"]) for axis in "xyz"] for row in rows], lattice(*cell)


def from_dictionary(structure):
    """The same of pymatgen's dictionary."""
    if any(len(site["species"]) != 1 or site["species"][0]["occu"] != 1 for site in structure["sites"]):
        raise ValueError("partial occupancies")
    numbers = [NUMBER[site["species"][0]["element"]] for site in structure["sites"]]
    return numbers, [site["abc"] for site in structure["sites"]], np.array(structure["lattice"]["matrix"])


def fold(numbers):
    """0 to 9 by a hash of the reduced formula: polymorphs, and one material in several tables, never part."""
    z, counts = np.unique(numbers, return_counts=True)
    formula = " ".join(f"{a}:{n}" for a, n in zip(z, counts // np.gcd.reduce(counts)))
    return int(hashlib.sha256(formula.encode()).hexdigest()[:8], 16) % 10


def gaps(table):
    with gzip.open(table, "rt", newline="") as source:
        for row in csv.DictReader(source):
            yield from_cif, row["cif"], {"band_gap": float(row["band_gap"])}


def dielectrics(table):
    with gzip.open(table, "rt", newline="") as source:
        if ".json" in table.name:
            columns = json.load(source)
            for key, structure in columns["structure"].items():
                yield from_dictionary, structure, {"n": columns["n"][key]}
            return
        for row in csv.DictReader(source):
            tensor = np.array(ast.literal_eval(row["e_total"]))
            inside = (tensor >= TENSOR_RANGE[0]).all() and (tensor <= TENSOR_RANGE[1]).all()
            values = {"n": float(row["n"])} | ({"eps_total": np.trace(tensor) / 3} if inside else {})
            yield from_cif, row["structure"], values


def graphs(rows, names):
    """Concatenated graphs, and the values by name (NaN where a table has none)."""
    parts = {key: [] for key in ("numbers", "centres", "neighbours", "distances", "atoms", "bonds", "fold", *names)}
    left_out = {}
    for read, structure, values in rows:
        try:
            numbers, frac, cell = read(structure)
            i, j, _, distance = edges(frac, cell, CUTOFF)
            if len(np.unique(i)) < len(numbers):
                raise ValueError(f"an atom without neighbour within {CUTOFF} A")
        except (ValueError, KeyError, AttributeError) as problem:
            left_out[str(problem)] = left_out.get(str(problem), 0) + 1
            continue
        for key, value in zip(parts, (numbers, i, j, distance, [len(numbers)], [len(i)], [fold(numbers)])):
            parts[key].append(value)
        for name in names:
            parts[name].append([values.get(name, math.nan)])
    print(f"{len(parts['atoms'])} crystals; left out: {left_out or 'none'}")
    types = {"numbers": np.uint8, "centres": np.int16, "neighbours": np.int16, "distances": np.float32, "fold": np.uint8}
    return {key: np.concatenate(value).astype(types.get(key, np.float32 if key in names else np.int32))
            for key, value in parts.items()}


if __name__ == "__main__":
    csv.field_size_limit(10**9)
    reader, names = {"gap": (gaps, ["band_gap"]), "dielectric": (dielectrics, ["eps_total", "n"])}[sys.argv[2]]
    rows = (row for table in map(pathlib.Path, sys.argv[3:]) for row in reader(table))
    np.savez(sys.argv[1], **graphs(rows, names))
