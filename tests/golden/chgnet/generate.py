"""Energies, forces, stresses and magnetic moments of CHGNet 0.3.0 in PyTorch, of textbook crystals and of displaced ones. Writes
chgnet.jsonl beside itself.

    pip install pymatgen==2026.10.24 torch==2.9.1 chgnet==0.4.2
    python generate.py
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from chgnet.model.model import CHGNet
from pymatgen.core import Structure

here = Path(__file__).parent
sys.path.insert(0, str(here.parent))
from crystals import as_row, textbook  # noqa: E402

warnings.simplefilter("ignore")
NAMES = ["aluminium", "sodium chloride", "lithium hydride", "iron oxide", "cadmium telluride", "zinc oxide", "strontium titanate",
         "rutile", "pyrite", "hematite", "lithium cobaltate", "sulfate in a box"]
GPA = 160.21766208  # GPa in eV/A^3
draw = np.random.default_rng(20261126)
model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
crystals = textbook()
with open(here / "chgnet.jsonl", "w") as file:
    for name in NAMES:
        for displaced in (False, True):
            row = as_row(crystals[name])
            if displaced:
                strain = np.eye(3) + draw.uniform(-0.02, 0.02, (3, 3))
                row["lattice"] = np.round(np.array(row["lattice"]) @ strain, 6).tolist()
                row["frac_coords"] = np.round(np.array(row["frac_coords"]) + draw.uniform(-0.02, 0.02, (len(row["species"]), 3)), 6).tolist()
            structure = Structure(row["lattice"], row["species"], row["frac_coords"])
            found = model.predict_structure(structure, task="efsm")
            row |= {
                "id": name + (", displaced" if displaced else ""),
                "pytorch_energy": float(found["e"]) * len(structure),
                "pytorch_forces": np.round(found["f"], 6).tolist(),
                "pytorch_stress": np.round(np.array(found["s"]) / GPA, 8).tolist(),
            }
            file.write(json.dumps(row) + "\n")
