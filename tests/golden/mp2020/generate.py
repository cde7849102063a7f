"""MP2020 corrections by pymatgen's MaterialsProject2020Compatibility, of textbook and made-up crystals. Writes corrections.jsonl
(structures as the Materials Project would compute them) and calculations.jsonl (structures whose rows say how they were computed),
and adds pymatgen's answers to rows.jsonl (small cells in which many ways of saying so were tried).

    pip install pymatgen==2026.10.24
    python generate.py
"""

import json
import sys
import warnings
from pathlib import Path

from pymatgen.core import Structure
from pymatgen.core.entries import ComputedStructureEntry
from pymatgen.entries.compatibility import CompatibilityError, MaterialsProject2020Compatibility
from pymatgen.io.vasp.sets import MPRelaxSet

here = Path(__file__).parent
sys.path.insert(0, str(here.parent))
from crystals import as_row, rock_salt, textbook  # noqa: E402

warnings.simplefilter("ignore")


def usual_run(structure):
    """What MPRelaxSet prescribes."""
    elements = sorted(structure.composition.elements, key=lambda e: e.X)
    table = MPRelaxSet.CONFIG["INCAR"]["LDAUU"].get(elements[-1].symbol, {}) if len(elements) > 1 else {}
    hubbards = {e.symbol: float(table.get(e.symbol, 0)) for e in structure.composition.elements}
    return ("GGA+U", hubbards) if any(hubbards.values()) else ("GGA", {})


def correct(structure, parameters, data, check_potcar):
    entry = ComputedStructureEntry(structure, -10.0, parameters=dict(parameters), data=dict(data))
    scheme = MaterialsProject2020Compatibility(check_potcar=check_potcar)
    try:
        adjustments = scheme.get_adjustments(entry)
    except CompatibilityError as error:
        return {"status": f"incompatible: {str(error)[:60]}"}
    except Exception as error:  # what pymatgen does not foresee
        return {"status": f"error: {error}"}
    listed = [{"name": a.name, "value": a.value} for a in adjustments]
    return {"status": "ok", "adjustments": listed, "total_correction": sum(a.value for a in adjustments)}


def reread(structure):
    """The structure that stands in the file."""
    row = as_row(structure)
    return Structure(row["lattice"], row["species"], row["frac_coords"])


def write(name, rows):
    with open(here / name, "w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


rows = []
for number, (name, structure) in enumerate(textbook().items()):
    structure = reread(structure)
    run_type, hubbards = usual_run(structure)
    parameters = {"run_type": run_type, "hubbards": hubbards}
    composition = {str(e): n for e, n in structure.composition.items()}
    row = {"kind": "structure_entry", "row": number, "formula": structure.composition.reduced_formula, "name": name}
    row |= {"composition": composition, "structure": as_row(structure), "data": {}, **parameters}
    rows.append(row | correct(structure, parameters, {}, check_potcar=False))
write("corrections.jsonl", rows)

salt, wuestite = reread(rock_salt("Na", "Cl", 5.64)), reread(rock_salt("Fe", "O", 4.31))
GGA, U = {"run_type": "GGA", "hubbards": {}}, {"run_type": "GGA+U", "hubbards": {"Fe": 5.3, "O": 0.0}}
SALT, RUST = ["PAW_PBE Na_pv 19Sep2006", "PAW_PBE Cl 06Sep2000"], ["PAW_PBE Fe_pv 02Aug2007", "PAW_PBE O 08Apr2002"]
calculations = [
    (salt, GGA, {}),
    (salt, {**GGA, "run_type": "R2SCAN"}, {}),
    (salt, {**GGA, "run_type": "PBE"}, {}),
    (salt, {**GGA, "potcar_symbols": SALT}, {}),
    (salt, {**GGA, "potcar_symbols": ["PAW_PBE Na 08Apr2002", SALT[1]]}, {}),
    (salt, {**GGA, "potcar_symbols": SALT[:1]}, {}),
    (salt, {**GGA, "potcar_spec": [{"titel": t, "hash": None} for t in SALT]}, {}),
    (salt, {**GGA, "potcar_spec": [{"titel": "PAW_PBE Na_sv 28Sep2000"}, {"titel": SALT[1]}], "potcar_symbols": SALT}, {}),
    (salt, GGA, {"oxidation_states": {"Na+": 1.0, "Cl-": -0.5}}),
    (salt, GGA, {"oxidation_states": {"Na": 1.0, "Cl": -0.5, "X": 0}}),
    (salt, GGA, {"oxidation_states": {"Na": 1.0, "Cl": -1.0}}),
    (salt, GGA, {"oxidation_states": {}}),
    (wuestite, U, {}),
    (wuestite, GGA, {}),
    (wuestite, {**U, "hubbards": {"Fe": 4.0}}, {}),
    (wuestite, {**U, "potcar_symbols": RUST}, {}),
    (wuestite, {**U, "potcar_symbols": ["PAW_PBE Fe 06Sep2000", RUST[1]]}, {}),
    (wuestite, U, {"oxide_type": "peroxide"}),
]
rows = []
for number, (structure, parameters, data) in enumerate(calculations):
    stated = any(key.startswith("potcar") for key in parameters)
    row = {"id": str(number), **as_row(structure), "parameters": parameters, "data": data}
    rows.append(row | {"pymatgen": correct(structure, parameters, data, check_potcar=stated)})
write("calculations.jsonl", rows)


def answered(row):
    """The answer for a row: its keys `run_type` and `hubbards` stand for those of `parameters`; without any, MPRelaxSet's."""
    if not isinstance(row.get("energy"), (int, float, str)):
        return {"status": "no energy"}
    species = ["H" if s == "D" else s.rstrip("+-0123456789") for s in row["species"]]
    structure = Structure(row["lattice"], species, row["frac_coords"])
    run_type, hubbards = usual_run(structure)
    nested = row.get("parameters") or {}
    stated = row.get("run_type") or nested.get("run_type")
    if stated and stated != "GGA+U":
        hubbards = {}
    given = row.get("hubbards") or nested.get("hubbards")
    if row.get("hubbards") is not None or nested.get("hubbards") is not None:
        hubbards = given or {}
    parameters = {"run_type": stated or run_type, "hubbards": hubbards}
    return correct(structure, parameters, row.get("data") or {}, check_potcar=False)


rows = [json.loads(line) for line in open(here / "rows.jsonl")]
write("rows.jsonl", [{**row, "pymatgen": answered(row)} for row in rows])
