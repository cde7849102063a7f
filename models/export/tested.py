"""What the exports of potentials share: crystals to trace and check with, and a layer of e3nn that exports."""

import numpy as np
import torch


def extract(self, x):
    """Parts of x, cut out and joined; the package copies them into slices, which does not export."""
    starts = [self.irreps_in[:i].dim for i in range(len(self.irreps_in) + 1)]
    return tuple(torch.cat([x[:, :0], *(x[:, starts[i] : starts[i + 1]] for i in wanted)], 1) for wanted in self.instructions)


def crystals():
    """Four to trace with (the exporter takes sizes of 1 and 3 for constants), and more to check."""
    random = np.random.default_rng(3)
    cubic, fcc = np.eye(3), np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    skew = np.array([[1, 0, 0], [2, 1, 0], [-3, 1, 1]])
    corners = [[0, 0, 0], [0.5, 0.5, 0.5]]
    low = np.array([[6.1, 0, 0], [-1.4, 5.2, 0], [-0.9, 0.4, 7.1]])
    return [
        ([38, 22, 8, 8, 8], [*corners, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], 3.9 * cubic),
        ([56, 83, 8, 9, 12, 30, 16, 8], random.random((8, 3)), low),
        ([11, 17], corners, 5.69 * fcc),
        ([14, 14], [[0, 0, 0], [0.25] * 3], 5.43 * fcc),
        ([13], [[0.1, 0.2, 0.3]], 4.05 * fcc),
        ([26], [[0, 0, 0]], 2.86 * np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])),
        ([11, 17], corners, skew @ (5.69 * fcc)),
        ([3, 15, 8, 8, 8, 8, 26], random.random((7, 3)), 1.1 * low),
    ]
