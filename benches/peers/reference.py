"""Crystals per second of the JAX reference of CrystalFormer-RL at the paper's size: sampling, log-probability, PPO gradient.

    PYTHONPATH=CrystalFormer python reference.py

with a checkout of deepmodeling/CrystalFormer at be3c6c8, jax 0.4.35, dm-haiku 0.0.14 and optax 0.2.4, in float32, on as
many cores as the process may use. Compilation is not counted.
"""

import time

import jax
import jax.numpy as jnp
from crystalformer.reinforce.ppo import make_ppo_loss_fn
from crystalformer.reinforce.sample import make_sample_crystal
from crystalformer.src.loss import make_loss_fn
from crystalformer.src.transformer import make_transformer

SLOTS, ELEMENTS, LETTERS, KX, KL = 21, 119, 28, 16, 4
SAMPLED, SCORED = 8, 32


def timed(name, crystals, run, rounds=3):
    jax.block_until_ready(run())
    walls, processors = [], []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        jax.block_until_ready(run())
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    wall, processor = sorted(walls)[rounds // 2], sorted(processors)[rounds // 2]
    print(f"{name}: {crystals / wall:.2f}/s, {1e3 * processor / crystals:.1f} CPU-ms each", flush=True)


if __name__ == "__main__":
    key = jax.random.PRNGKey(42)
    params, transformer = make_transformer(
        key, 5, KX, KL, SLOTS, 256, 16, 16, 64, 64, 32, ELEMENTS, LETTERS, 0.1, 0.1
    )
    _, logp_fn = make_loss_fn(SLOTS, ELEMENTS, LETTERS, KX, KL, transformer)
    sample = make_sample_crystal(transformer, SLOTS, ELEMENTS, LETTERS, KX, KL)
    mask = jnp.ones((SLOTS, ELEMENTS), dtype=int)
    groups = jnp.array([2, 12, 62, 139, 166, 194, 221, 225] * (SCORED // 8))

    # The cost does not depend on what the crystals are: all slots are always worked on.
    XYZ, A, W, M, L = sample(key, params, groups[:8], mask, 1.0, 1.0)
    repeat = lambda x: jnp.concatenate([x] * (SCORED // 8))
    L = jnp.concatenate([L[:, :3] / jnp.sum(M, axis=1)[:, None] ** (1 / 3), L[:, 3:] * jnp.pi / 180], axis=1)
    x = (groups, *map(repeat, (L, XYZ, A, W)))
    logp = jax.jit(lambda p: logp_fn(p, key, *x, False))
    old = sum(logp(params))
    objective = make_ppo_loss_fn(logp_fn, 0.2, beta=0.1)
    advantages = jnp.where(jnp.arange(SCORED) % 2 == 0, 1.0, -0.5)
    gradient = jax.jit(jax.value_and_grad(lambda p: objective(p, key, x, old, old, advantages)[0]))

    timed("log-probability", SCORED, lambda: logp(params))
    timed("PPO gradient", SCORED, lambda: gradient(params))
    timed("sampling", SAMPLED, lambda: sample(key, params, groups[:SAMPLED], mask, 1.0, 1.0), rounds=1)
