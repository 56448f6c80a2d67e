"""Train the network on patches that are made as it goes; a stop at any moment loses at most a minute.

The learning rate rises, then falls as a cosine of the time that was spent, of the hours that are given:
a run of more hours goes on from the weights of a shorter one. What is kept in the end is a running mean of
the weights.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from atomfit.networks.losses import defocus_loss, height_losses, presence_loss, sites_of
from atomfit.networks.residual_unet import Architecture, ResidualUNet, Seen
from atomfit.networks.weights import load_weights
from experiments.heights.pool import BATCH, Batch, Pool
from experiments.heights.validation import Validation

PEAK_RATE, WARM_UP, DECAY, MEAN = 2e-3, 150, 1e-4, 0.999
#: Standard deviation of a column's mark in the map of presence (pixels).
MARK = 2.0
#: Patches that are drawn of each patch's area that is made, and specimens to begin with.
REUSE, FIRST = 3, 12
#: Seconds between savings, and between measures of progress.
SAVE, TELL = 60.0, 240.0
_PATCHES_OF_A_SPECIMEN = 8 * 4


class State(eqx.Module):
    """All that a run needs to go on."""

    network: ResidualUNet
    mean: ResidualUNet
    moments: Any
    step: Array
    seconds: Array


def optimiser() -> optax.GradientTransformation:
    """AdamW, but for the learning rate."""
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.scale_by_adam(b2=0.99), optax.add_decayed_weights(DECAY)
    )


def first_state(seed: int, start: Path | None = None) -> State:
    """Before any step.

    **Arguments:**

    - `seed`: of the weights.
    - `start`: a file of weights instead: what another material taught.
    """
    network = load_weights(start).network if start else ResidualUNet(Architecture(), jax.random.key(seed))
    moments = optimiser().init(eqx.filter(network, eqx.is_array))
    # Buffers that are donated must not be one.
    mean = jax.tree.map(lambda leaf: leaf + 0 if eqx.is_array(leaf) else leaf, network)
    return State(network, mean, moments, jnp.zeros((), jnp.int32), jnp.zeros(()))


def losses(network: ResidualUNet, batch: Batch, shift: Float[Array, "b n 2"]) -> dict[str, Array]:
    """Parts of the loss.

    **Arguments:**

    - `network`, `batch`: what is trained, and on what.
    - `shift`: pixels by which heights are read beside columns, as places that are found are not exact.
    """
    seen: Seen = jax.vmap(network)(batch.images, batch.features)
    rows, columns = (np.arange(n, dtype=np.float32) for n in batch.images.shape[1:])
    y = jnp.exp(-0.5 * ((rows - batch.sites[:, :, :1]) / MARK) ** 2) * batch.present[:, :, None]
    x = jnp.exp(-0.5 * ((columns - batch.sites[:, :, 1:]) / MARK) ** 2)
    marks = jnp.minimum(jnp.einsum("bnr,bnc->brc", y, x), 1.0)
    most = np.array(batch.images.shape[1:]) - 1
    pixels = jnp.clip(jnp.round(batch.sites + shift), 0, most).astype(jnp.int32)
    levels = jax.vmap(sites_of)(seen.heights, pixels)
    count = levels.shape[-1]
    weights = batch.inside * (batch.heights < count) * jnp.where(batch.heights > 0, 1.0, 0.5)
    entropy, ranked = height_losses(
        levels.reshape(-1, count), jnp.minimum(batch.heights, count - 1).ravel(), weights.ravel()
    )
    focus = jax.vmap(defocus_loss)(seen.defocus, seen.defocus_spread, batch.defocus).mean()
    return {
        "presence": presence_loss(seen.presence, marks),
        "entropy": entropy,
        "ranked": ranked,
        "defocus": focus,
    }


def total(parts: dict[str, Array]) -> Array:
    """The loss, of its parts."""
    return 4 * parts["presence"] + parts["entropy"] + 0.5 * parts["ranked"] + 0.05 * parts["defocus"]


@partial(eqx.filter_jit, donate="all-except-first")
def step(batch: tuple[Any, ...], state: State, rate: Array) -> tuple[State, dict[str, Array]]:
    """One step; the state that is given is used up."""
    data = Batch(*batch)
    key = jax.random.key(state.step)
    shift = jax.random.uniform(key, data.sites.shape, minval=-0.75, maxval=0.75)

    def loss(network: ResidualUNet) -> tuple[Array, dict[str, Array]]:
        parts = losses(network, data, shift)
        return total(parts), parts

    (_, parts), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(state.network)
    weights = eqx.filter(state.network, eqx.is_array)
    update, moments = optimiser().update(gradient, state.moments, weights)
    network = eqx.apply_updates(state.network, jax.tree.map(lambda u: -rate * u, update))
    # Young means forget sooner.
    keep = jnp.minimum(MEAN, (1 + state.step) / (10 + state.step))
    mean = jax.tree.map(
        lambda old, new: keep * old + (1 - keep) * new if eqx.is_array(old) else old, state.mean, network
    )
    return State(network, mean, moments, state.step + 1, state.seconds), parts


def rate_at(number: int, seconds: float, hours: float) -> float:
    """The learning rate.

    **Arguments:**

    - `number`: of the step.
    - `seconds`: that training has taken.
    - `hours`: that it is given.
    """
    part = min(seconds / (3600 * hours), 1.0)
    return PEAK_RATE * min((number + 1) / WARM_UP, 1.0) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * part)))


def save_state(path: Path, state: State) -> None:
    """Write a state, all of it or nothing."""
    leaves = jax.tree.leaves(eqx.filter(state, eqx.is_array))
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        np.savez(file, *(np.asarray(leaf) for leaf in leaves))
    os.replace(new, path)


def load_state(path: Path, seed: int, start: Path | None = None) -> State:
    """The state of a run, or the first one."""
    like = first_state(seed, start)
    if not path.is_file():
        return like
    arrays, other = eqx.partition(like, eqx.is_array)
    leaves, shape = jax.tree.flatten(arrays)
    with np.load(path, allow_pickle=False) as file:
        found = [jnp.asarray(file[f"arr_{k}"]) for k in range(len(leaves))]
    if [leaf.shape for leaf in found] != [leaf.shape for leaf in leaves]:
        raise SystemExit(f"{path} is of another network: remove it to begin anew")
    return eqx.combine(jax.tree.unflatten(shape, found), other)


def train(
    folder: Path, crystal: str, hours: float, seed: int, alone: bool = True, start: Path | None = None
) -> None:
    """Train until the hours are over, or SIGINT.

    **Arguments:**

    - `folder`: of the run.
    - `crystal`: CeO2, Pt, Au or a CIF file.
    - `hours`: that training is given, all runs together.
    - `seed`: of weights and batches.
    - `alone`: make specimens in this process; else others do (`generate`).
    - `start`: weights of the first run's beginning.
    """
    pool = Pool(folder / "pool", crystal)
    if start and not (folder / "state.npz").is_file():
        (folder / "start.txt").write_text(start.name, encoding="utf-8")
    while len(pool.held) < FIRST:
        print(f"specimen {len(pool.held) + 1} of {FIRST}", flush=True)
        pool.add() if alone else (time.sleep(5), pool.look())
    state = load_state(folder / "state.npz", seed, start)
    validation = Validation(folder / "validation", crystal)
    number, spent = int(state.step), float(state.seconds)
    began, saved, told = time.monotonic() - spent, time.monotonic(), time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    with stopping() as stopped:
        while spent < 3600 * hours and not stopped:
            if alone and number * BATCH > REUSE * _PATCHES_OF_A_SPECIMEN * pool.made:
                pool.add()
            elif number % 50 == 0:
                pool.look()
            rate = rate_at(number, spent, hours)
            batch = pool.batch(seed, number)
            state, parts = step(tuple(vars(batch).values()), state, jnp.asarray(rate, jnp.float32))
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + float(part)
            number, counted, spent = number + 1, counted + 1, time.monotonic() - began
            now = time.monotonic()
            if now - saved > SAVE:
                saved = now
                save_state(folder / "state.npz", _timed(state, spent))
            if counted % 50 == 0 or spent >= 3600 * hours:
                means = {name: round(value / counted, 4) for name, value in sums.items()}
                print(f"{spent:.0f} s, step {number}, rate {rate:.1e}: {json.dumps(means)}", flush=True)
                sums, counted = {}, 0
            if now - told > TELL:
                told = now
                print(f"  held out: {validation.told(state.mean)}", flush=True)
    save_state(folder / "state.npz", _timed(state, spent))
    if stopped:
        print("stopped; the same command goes on", flush=True)
    else:
        print(f"  held out: {validation.told(state.mean)}", flush=True)


@contextmanager
def stopping() -> Iterator[list[int]]:
    """A list that a signal is put into, so that a step is never half made."""
    came: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: came.append(number))
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _timed(state: State, seconds: float) -> State:
    return eqx.tree_at(lambda s: s.seconds, state, jnp.asarray(seconds, jnp.float32))
