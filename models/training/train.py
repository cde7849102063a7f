"""Trains a property network; may be stopped and started again.

    python train.py GRAPHS.npz OUT.pt PROPERTIES [--start OTHER.pt] [--epochs 40] [--rate 2e-3] [--seed 0]

PROPERTIES: `band_gap`, or `eps_total,n` (both at once; a crystal counts where it has a value). Fold 0 is the test set, fold 1
chooses the epoch (see tables.fold), the others are trained on. `--start` takes another network's layers, without its head.
"""

import argparse
import json
import pathlib
import time

import numpy as np
import torch

from network import Network
from tables import CUTOFF

LIMITS = {"band_gap": ("positive", 1.0), "eps_total": ("log", 100.0), "n": ("log", 20.0)}
BATCH = 48
WARM_UP = 0.05


class Graphs:
    """The crystals of a table made by tables.py."""

    def __init__(self, path, names):
        self.data = dict(np.load(path))
        self.values = np.stack([self.data[name] for name in names], 1)
        self.atoms = np.concatenate([[0], np.cumsum(self.data["atoms"])])
        self.bonds = np.concatenate([[0], np.cumsum(self.data["bonds"])])

    def folds(self, *folds):
        return np.flatnonzero(np.isin(self.data["fold"], folds) & np.isfinite(self.values).any(1))

    def batch(self, crystals):
        """Arguments of the network."""
        atoms = [slice(self.atoms[c], self.atoms[c + 1]) for c in crystals]
        bonds = [slice(self.bonds[c], self.bonds[c + 1]) for c in crystals]
        counts = self.data["atoms"][crystals]
        offsets = np.repeat(np.cumsum(counts) - counts, self.data["bonds"][crystals])

        def join(key, slices, add=0):
            return torch.from_numpy(np.concatenate([self.data[key][s] for s in slices]).astype(np.int64) + add)

        distances = torch.from_numpy(np.concatenate([self.data["distances"][s] for s in bonds]))
        owners = torch.from_numpy(np.repeat(np.arange(len(crystals)), counts))
        centres, neighbours = join("centres", bonds, offsets), join("neighbours", bonds, offsets)
        return join("numbers", atoms), centres, neighbours, distances, owners, len(crystals)


def loss_of(limits, predicted, values):
    """L1; of logarithms for properties in a range. Missing values do not count."""
    known = torch.isfinite(values)
    values = torch.where(known, values, torch.ones_like(values))
    total = 0
    for k, (kind, _) in enumerate(limits.values()):
        transform = torch.log if kind == "log" else (lambda x: x)
        error = (transform(predicted[:, k]) - transform(values[:, k].clamp(min=0 if kind != "log" else 1))).abs()
        total = total + (error * known[:, k]).sum() / known[:, k].sum().clamp(min=1)
    return total


@torch.no_grad()
def predict(network, graphs, crystals):
    parts = [network(*graphs.batch(crystals[k : k + 128])) for k in range(0, len(crystals), 128)]
    return torch.cat(parts).numpy()


def errors(network, graphs, crystals):
    """MAE, RMSE, the MAE of the training set's mean, and the number of crystals, by property."""
    predicted, train = predict(network, graphs, crystals), graphs.folds(*range(2, 10))
    result = {}
    for k, name in enumerate(network.limits):
        values, mean = graphs.values[crystals, k], np.nanmean(graphs.values[train, k])
        known = np.isfinite(values)
        error = predicted[known, k] - values[known]
        mad = np.abs(values[known] - mean).mean()
        result[name] = {"mae": np.abs(error).mean(), "rmse": np.sqrt((error**2).mean()), "mae_of_mean": mad, "crystals": known.sum()}
    return {name: {key: round(float(x), 4) for key, x in row.items()} for name, row in result.items()}


def rate_at(step, steps, highest):
    """Linear warm-up, then half a cosine to zero."""
    share = step / steps
    return highest * (share / WARM_UP if share < WARM_UP else 0.5 * (1 + np.cos(np.pi * (share - WARM_UP) / (1 - WARM_UP))))


def train(options):
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    names = options.properties.split(",")
    graphs, limits = Graphs(options.graphs, names), {name: LIMITS[name] for name in names}
    network = Network(limits, CUTOFF)
    if options.start:
        layers = torch.load(options.start, weights_only=False)["best"]
        network.load_state_dict({k: v for k, v in layers.items() if not k.startswith("head")}, strict=False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=options.decay)
    state = {"epoch": 0, "lowest": np.inf, "best": None, "history": []}
    if options.out.exists():
        state = torch.load(options.out, weights_only=False)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    chosen, validation = graphs.folds(*range(2, 10)), graphs.folds(1)
    steps = options.epochs * (len(chosen) // BATCH)
    print(f"{sum(p.numel() for p in network.parameters())} parameters, {len(chosen)} crystals", flush=True)
    for epoch in range(state["epoch"], options.epochs):
        began, network, losses = time.time(), network.train(), []
        order = np.random.default_rng([options.seed, epoch]).permutation(chosen)
        for step in range(len(chosen) // BATCH):
            crystals = order[step * BATCH : (step + 1) * BATCH]
            for group in optimiser.param_groups:
                group["lr"] = rate_at(epoch * (len(chosen) // BATCH) + step, steps, options.rate)
            optimiser.zero_grad()
            loss = loss_of(limits, network(*graphs.batch(crystals)), torch.from_numpy(graphs.values[crystals]))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            losses.append(loss.item())
        network.eval()
        held = float(loss_of(limits, torch.from_numpy(predict(network, graphs, validation)),
                             torch.from_numpy(graphs.values[validation])))  # fmt: skip
        line = {"epoch": epoch + 1, "training": round(float(np.mean(losses)), 4), "validation": round(held, 4),
                **{f"mae_{name}": row["mae"] for name, row in errors(network, graphs, validation).items()}}  # fmt: skip
        state["history"].append(line)
        if held < state["lowest"]:
            state |= {"lowest": held, "best": {k: v.clone() for k, v in network.state_dict().items()}}
        state |= {"epoch": epoch + 1, "network": network.state_dict(), "optimiser": optimiser.state_dict()}
        torch.save(state, options.out)
        print(json.dumps(line), f"{time.time() - began:.0f} s", flush=True)
    network.load_state_dict(state["best"])
    print("test", json.dumps(errors(network.eval(), graphs, graphs.folds(0))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("graphs")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("properties")
    parser.add_argument("--start")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())
