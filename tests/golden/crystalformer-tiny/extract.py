"""Takes the made-up crystals (the last 16 of 32) out of a golden batch of the JAX reference, with their log-probabilities.

    pip install numpy safetensors
    python extract.py FOLDER_OF_THE_TINY_CONFIGURATION
"""

import json
import shutil
import sys
from pathlib import Path

from safetensors.numpy import load_file, save_file

here, source = Path(__file__).parent, Path(sys.argv[1])
meta = json.loads((source / "meta.json").read_text())
rows = [row for row, kind in enumerate(meta["source"]) if kind == "synthetic"]
for file in ("batch", "outputs", "outputs_rope64"):
    tensors = load_file(source / f"{file}.safetensors")
    per_row = {k: v[rows] for k, v in tensors.items() if k in ("G", "L", "XYZ", "A", "W", "M") or k.startswith("logp_")}
    save_file(per_row, here / f"{file}.safetensors")
shutil.copyfile(source / "params.safetensors", here / "params.safetensors")
shutil.copyfile(source / "f32_deviation.json", here / "f32_deviation.json")
(here / "meta.json").write_text(json.dumps({"config": meta["config"]}, indent=1) + "\n")
