"""Checkpoints laid out as CrystalFormer's reference code writes them, with values that can be told by name and index.

pip install jax==0.4.35 dm-haiku==0.0.14 optax==0.2.4 numpy; python generate_checkpoints.py
"""

import pickle

import jax.numpy as jnp
import numpy as np
import optax

NF, KX, KL, H0, LAYERS, HEADS, KEY, MODEL, EMBED = 2, 2, 1, 4, 2, 2, 2, 4, 1
ATOMS, LETTERS = 119, 28
WIDTH = max(ATOMS + 13 * KL, 3 * KX, LETTERS)


def shapes():
    def linear(name, inputs, outputs):
        table[name] = {"w": (inputs, outputs), "b": (outputs,)}

    def suffix(i):
        return f"_{i}" if i else ""

    table = {"~": {"g_embeddings": (230, EMBED), "w_embeddings": (LETTERS, EMBED), "a_embeddings": (ATOMS, EMBED)}}
    coordinate = (EMBED + 2 * NF, MODEL)
    feed_forward = [(MODEL, 4 * MODEL), (4 * MODEL, MODEL)]
    sizes = [(EMBED, H0), (H0, LETTERS), (2 * EMBED + 1, MODEL), (2 * EMBED, MODEL)]
    sizes += 3 * [coordinate] + LAYERS * feed_forward + [(MODEL, WIDTH)]
    for i, size in enumerate(sizes):
        linear(f"linear{suffix(i)}", *size)
    for i in range(2 * LAYERS + 1):
        table[f"layer_norm{suffix(i)}"] = {"scale": (MODEL,), "offset": (MODEL,)}
    for i in range(LAYERS):
        for part in ("query", "key", "value"):
            linear(f"multi_head_attention{suffix(i)}/{part}", MODEL, HEADS * KEY)
        linear(f"multi_head_attention{suffix(i)}/linear", HEADS * KEY, MODEL)
    return table


def parameters(array):
    """Value i of the t-th tensor by name is t + i / 4096."""
    table = shapes()
    order = sorted(f"{module}/{name}" for module, names in table.items() for name in names)
    tree = {}
    for module, names in table.items():
        tree[module] = {}
        for name, shape in names.items():
            values = order.index(f"{module}/{name}") + np.arange(np.prod(shape)) / 4096
            tree[module][name] = array(values.astype(np.float32).reshape(shape))
    return tree


params = parameters(jnp.asarray)
adam = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.scale_by_schedule(lambda _: 1e-4), optax.scale(-1.0))
with open("jax_adam.pkl", "wb") as file:
    pickle.dump({"params": params, "opt_state": adam.init(params)}, file)
with open("numpy_protocol5.pkl", "wb") as file:
    pickle.dump({"params": parameters(np.asarray), "opt_state": None}, file, protocol=5)
