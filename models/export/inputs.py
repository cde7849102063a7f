"""The arrays a model is fed under Temper's ONNX contract, from crystals, with numpy alone.

A crystal is a triple: atomic numbers [n], fractional coordinates [n, 3], lattice vectors as rows [3, 3] in angstrom.
"""

import numpy as np


def edges(frac, lattice, cutoff):
    """All directed pairs (centre, neighbour, shift) with |(f_j + shift - f_i) @ lattice| <= cutoff, sorted by centre.

    An atom's own images count. Returns centres [e], neighbours [e], shifts [e, 3] and distances [e] in angstrom.
    """
    lattice, frac = np.asarray(lattice, float), np.asarray(frac, float)
    cell_of_atom = np.floor(frac).astype(int)
    cartesian = (frac - cell_of_atom) @ lattice
    # 1 / |reciprocal vector| is the distance of neighbouring lattice planes.
    planes = np.ceil(cutoff * np.linalg.norm(np.linalg.inv(lattice).T, axis=1) + 1e-9).astype(int)
    images = np.stack(np.meshgrid(*[np.arange(-p, p + 1) for p in planes], indexing="ij"), -1).reshape(-1, 3)
    centres, neighbours, shifts, distances = [], [], [], []
    for i, position in enumerate(cartesian):
        vectors = (cartesian - position)[:, None, :] + (images @ lattice)[None]
        squared = np.einsum("jmk,jmk->jm", vectors, vectors)
        near = squared <= cutoff * cutoff
        near[i] &= ~(images == 0).all(1)
        j, image = np.nonzero(near)
        centres.append(np.full(len(j), i))
        neighbours.append(j)
        shifts.append(images[image] - (cell_of_atom[j] - cell_of_atom[i]))
        distances.append(np.sqrt(squared[j, image]))
    return tuple(np.concatenate(column) for column in (centres, neighbours, shifts, distances))


def opposite(centres, neighbours, shifts):
    """For each edge (i, j, shift) the index of (j, i, -shift)."""
    forward = np.column_stack([centres, neighbours, shifts])
    backward = np.column_stack([neighbours, centres, -shifts])
    found = np.empty(len(centres), dtype=np.int64)
    found[np.lexsort(backward.T[::-1])] = np.lexsort(forward.T[::-1])
    assert (forward[found] == backward).all(), "an edge has no opposite"
    return found


def triplets(centres, distances, cutoff):
    """Ordered pairs [2, t] of different edges with one centre, both at most `cutoff` long."""
    short = np.flatnonzero(distances <= cutoff)
    pairs = [np.zeros((2, 0), np.int64)]
    for centre in np.unique(centres[short]):
        own = short[centres[short] == centre]
        first, second = np.repeat(own, len(own)), np.tile(own, len(own))
        pairs.append(np.stack([first, second])[:, first != second])
    return np.concatenate(pairs, 1)


def batch(crystals, cutoff, triplet_cutoff):
    """The arrays of several crystals, one behind the other, by the contract's names."""
    columns = {name: [] for name in
               ("atomic_numbers", "positions", "cell", "batch", "edge_index", "edge_shift", "edge_reverse", "triplet_index")}
    n_atoms = n_edges = 0
    for index, (numbers, frac, lattice) in enumerate(crystals):
        i, j, shift, distance = edges(frac, lattice, cutoff)
        rows = {
            "atomic_numbers": np.asarray(numbers),
            "positions": np.asarray(frac) @ np.asarray(lattice),
            "cell": np.asarray(lattice)[None],
            "batch": np.full(len(numbers), index),
            "edge_index": np.stack([i, j]) + n_atoms,
            "edge_shift": shift,
            "edge_reverse": opposite(i, j, shift) + n_edges,
            "triplet_index": triplets(i, distance, triplet_cutoff) + n_edges,
        }
        for name, values in rows.items():
            columns[name].append(values)
        n_atoms += len(numbers)
        n_edges += len(i)
    along = {"edge_index": 1, "triplet_index": 1}
    real = {"positions", "cell", "edge_shift"}
    return {name: np.concatenate(values, along.get(name, 0)).astype(np.float32 if name in real else np.int64)
            for name, values in columns.items()}
