"""Crystals per second of the PyTorch CHGNet 0.3.0 on one thread, energies only, one crystal at a time (its own default).

    python chgnet_energy.py CRYSTALS.jsonl

with torch 2.9.1, chgnet 0.4.2. A row of the file has `lattice`, `species` and `frac_coords`. Prints wall seconds and
CPU milliseconds per crystal, the graph's construction included.
"""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import torch
from chgnet.model import CHGNet
from pymatgen.core import Structure


def energies(model, crystals):
    return [float(model.predict_structure(crystal, task="e")["e"]) for crystal in crystals]


if __name__ == "__main__":
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in open(sys.argv[1])]
    crystals = [Structure(row["lattice"], row["species"], row["frac_coords"]) for row in rows]
    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    energies(model, crystals[:10])
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        energies(model, crystals)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{len(crystals)} crystals: {len(crystals) / wall:.1f}/s, {1e3 * cpu / len(crystals):.2f} CPU-ms each")
