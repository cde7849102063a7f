"""The structures that models/hulls/mp-chgnet.hull is built of, from tables of Materials Project structures.

    python hull_structures.py OUT_FOLDER TABLE...

A table is a CSV(.gz) with a column `cif` or `structure` (a CIF, or pymatgen's dictionary), as MP-20, MPTS-52 and matminer's
datasets have, or matbench's JSON(.gz). Each material is taken once. A structure of an element is taken only from MP-20 and
MPTS-52, and where they put it (e_above_hull, energy_above_hull) within 0.08 eV/atom of the Materials Project's own hull: MPTS-52
has others, and one of them alone would be a wrong reference for the element. The other tables are of 2015 to 2021, or do not say
how far from the hull they are. Compounds need no such rule: those that are unstable do not stay in a hull.
Structures with partial occupancies are left out, and counted.
"""

import ast
import csv
import gzip
import json
import pathlib
import re
import sys

LIMIT = 0.08  # eV/atom


def rows(table):
    """(id, structure, energy above hull or None) of each row; a structure is the text of a CIF or a dictionary."""
    with gzip.open(table, "rt", newline="") as source:
        if ".json" in table.name:
            for number, structure in json.load(source)["structure"].items():
                yield f"{table.name.split('.')[0]}-{number}", structure, None
            return
        for row in csv.DictReader(source):
            text = row.get("cif") or row["structure"]
            above = (row.get("e_above_hull") or row.get("energy_above_hull")) if "cif" in row else None
            yield row["material_id"], ast.literal_eval(text) if text.startswith("{") else text, above


def elements(structure):
    if isinstance(structure, dict):
        return {part["element"] for site in structure["sites"] for part in site["species"]}
    labels = re.search(r"_chemical_formula_sum\s+(.*)", structure).group(1).strip(" '")
    return set(re.sub(r"[\d.]", "", labels).split())


def is_ordered(structure):
    if isinstance(structure, dict):
        return all(len(site["species"]) == 1 and site["species"][0]["occu"] == 1 for site in structure["sites"])
    return True  # Temper's reader looks at a CIF's occupancies itself.


def plain(name, structure):
    """The row that Temper reads."""
    species = [site["species"][0]["element"] for site in structure["sites"]]
    coords = [site["abc"] for site in structure["sites"]]
    return {"id": name, "lattice": structure["lattice"]["matrix"], "species": species, "frac_coords": coords}


def select(table, folder, seen):
    """Writes the structures of a table that count: CIFs to a CSV, dictionaries to JSON lines."""
    kept, single, partial = [], 0, 0
    for name, structure, above in rows(table):
        if name in seen:
            continue
        seen.add(name)
        if len(elements(structure)) == 1 and (above is None or float(above) > LIMIT):
            single += 1
        elif not is_ordered(structure):
            partial += 1
        else:
            kept.append((name, structure))
    stem = f"{table.parent.name}_{table.name.split('.')[0].removesuffix('_part')}"
    if kept and isinstance(kept[0][1], dict):
        lines = [json.dumps(plain(name, structure)) for name, structure in kept]
        (folder / f"{stem}.jsonl").write_text("\n".join(lines) + "\n")
    else:
        with open(folder / f"{stem}.csv", "w", newline="") as target:
            csv.writer(target).writerows([("id", "cif"), *kept])
    print(f"{stem}: {len(kept)} structures; left out: {single} of elements, {partial} with partial occupancies")


if __name__ == "__main__":
    csv.field_size_limit(10**9)
    folder, seen = pathlib.Path(sys.argv[1]), set()
    folder.mkdir(parents=True, exist_ok=True)
    for table in map(pathlib.Path, sys.argv[2:]):
        select(table, folder, seen)
