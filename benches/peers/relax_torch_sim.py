"""Relaxes crystals in batches with torch-sim (FIRE on a Frechet cell) and the PyTorch CHGNet 0.3.0.

    python relax_torch_sim.py CRYSTALS.jsonl [--fmax 0.02] [--steps 500] [--atoms 400] [--threads 2]

with torch 2.9.1, chgnet 0.4.2 and torch-sim-atomistic 0.3.0. A row of the file has `id`, `species`, `lattice` and `frac_coords`.
torch-sim has no CHGNet, so it is wrapped here: its graphs are made crystal by crystal, its forward and backward passes are of
the whole batch. `--atoms` bounds a batch. Prints the number of crystals at rest, the evaluations of single crystals (graphs made)
and the time: graphs, forces and the optimiser are in it, loading is not.
"""

import argparse
import json
import time
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import torch
import torch_sim
from ase import Atoms
from chgnet.model import CHGNet
from pymatgen.core import Lattice, Structure
from torch_sim.autobatching import InFlightAutoBatcher
from torch_sim.models.interface import ModelInterface
from torch_sim.runners import generate_force_convergence_fn

GPA = 160.21766208  # 1 eV/A^3 in GPa


class Chgnet(ModelInterface):
    def __init__(self):
        super().__init__()
        self.network = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
        self._device, self._dtype = torch.device("cpu"), torch.float32
        self._compute_stress = self._compute_forces = True
        self._memory_scales_with = "n_atoms"
        self.evaluations = 0

    def forward(self, state):
        crystals = [state[i] for i in range(state.n_systems)]
        graphs = []
        for crystal in crystals:
            # torch-sim's cells have the vectors as columns.
            lattice = Lattice(crystal.cell[0].T.detach().numpy())
            positions = crystal.positions.detach().numpy()
            structure = Structure(lattice, crystal.atomic_numbers.tolist(), positions, coords_are_cartesian=True)
            graphs.append(self.network.graph_converter(structure))
        self.evaluations += len(graphs)
        found = self.network.predict_graph(graphs, task="efs", batch_size=len(graphs))
        found = [found] if isinstance(found, dict) else found
        atoms = [len(crystal.atomic_numbers) for crystal in crystals]
        return {
            "energy": torch.tensor([float(row["e"]) * n for row, n in zip(found, atoms)], dtype=self.dtype),
            "forces": torch.tensor(np.concatenate([row["f"] for row in found]), dtype=self.dtype),
            "stress": torch.tensor(np.stack([row["s"] for row in found]) / GPA, dtype=self.dtype),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("crystals")
    parser.add_argument("--fmax", type=float, default=0.02)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--atoms", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [json.loads(line) for line in open(arguments.crystals)]
    crystals = [Atoms(row["species"], cell=row["lattice"], scaled_positions=row["frac_coords"], pbc=True) for row in rows]
    model = Chgnet()
    converged = generate_force_convergence_fn(arguments.fmax, include_cell_forces=True)
    wall, cpu = time.perf_counter(), time.process_time()
    state = torch_sim.optimize(
        crystals,
        model,
        optimizer=torch_sim.frechet_cell_fire,
        convergence_fn=converged,
        autobatcher=InFlightAutoBatcher(model, memory_scales_with="n_atoms", max_memory_scaler=arguments.atoms),
        max_steps=arguments.steps,
        steps_between_swaps=1,
    )
    print(f"{len(rows)} crystals, {int(converged(state).sum())} at rest, {model.evaluations} evaluations")
    print(f"{time.process_time() - cpu:.1f} CPU-s, {time.perf_counter() - wall:.1f} s")
