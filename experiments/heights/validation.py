"""Specimens of training's kind that are never trained on: progress and temperatures are told by them."""

from functools import cached_property
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from atomfit.networks.residual_unet import ResidualUNet, Seen, known_features
from experiments.heights.pool import load, noisy, save
from experiments.heights.specimens import PIXEL, VALIDATION, Imaged, imaged

SPECIMENS, IMAGES = 6, 3
DOSES = (300.0, 1e3, 3e3, 1e4)


@eqx.filter_jit
def seen_by(network: ResidualUNet, image: np.ndarray, features: np.ndarray) -> Seen:
    """What a network makes of an image."""
    return network(jnp.asarray(image), jnp.asarray(features))


class Validation:
    """Held-out images.

    **Arguments:**

    - `folder`: where their specimens are kept.
    - `crystal`: CeO2, Pt, Au or a CIF file.
    """

    def __init__(self, folder: Path, crystal: str) -> None:
        self.folder, self.crystal = folder, crystal

    @cached_property
    def specimens(self) -> list[Imaged]:
        """Made when they are first needed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = []
        for seed in range(VALIDATION, VALIDATION + SPECIMENS):
            path = self.folder / f"{seed}.npz"
            if not path.is_file():
                save(path, imaged(self.crystal, seed, "training", IMAGES))
            found.append(load(path))
        return found

    def at_columns(
        self, network: ResidualUNet, dose: float
    ) -> tuple[Float[np.ndarray, "n levels"], Int[np.ndarray, " n"]]:
        """Logits of heights at true columns, and the heights.

        **Arguments:**

        - `network`: that is asked.
        - `dose`: electrons per Å².
        """
        logits, truth = [], []
        for k, of in enumerate(self.specimens):
            for image in range(IMAGES):
                rng = np.random.default_rng([VALIDATION, k, image, int(dose)])
                mean = dose * PIXEL**2 * of.images[image].astype(np.float32)
                seen = noisy(mean, float(of.conditions[image, 3]), rng) / mean.mean()
                found = seen_by(network, seen, known_features(float(mean.mean()) / PIXEL**2))
                places = np.clip(np.rint(of.positions[:, ::-1] / PIXEL), 0, np.array(mean.shape) - 1)
                rows, columns = places.astype(int).T
                logits.append(np.asarray(found.heights)[rows, columns])
                truth.append(of.heights)
        return np.concatenate(logits), np.concatenate(truth)

    def told(self, network: ResidualUNet) -> str:
        """Columns whose height is exact, by dose, in words."""
        parts = []
        for dose in DOSES:
            logits, truth = self.at_columns(network, dose)
            there = truth > 0
            exact = np.mean(logits.argmax(1)[there] == truth[there])
            near = np.mean(np.abs(logits.argmax(1)[there] - truth[there]) <= 1)
            parts.append(f"{dose:g}: {exact:.3f} exact, {near:.3f} +-1")
        return "; ".join(parts)
