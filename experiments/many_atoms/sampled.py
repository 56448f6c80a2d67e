"""Error bars of faint atoms: do they hold, and what if the limits of the refits they are from were others?

python -m experiments.many_atoms.sampled
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from atomfit.options.tilt import TiltOptions
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import ImageUncertainty, measure_uncertainty
from atomfit.projection.start import Start
from atomfit.results.series import PreparedSeries
from atomfit.tilt_series import sampled
from atomfit.workflows.tilt_preparation import prepare_series
from atomfit.workflows.tilt_refining import refine_start
from experiments.many_atoms.__main__ import PIXEL, glass, series
from experiments.recording import markdown, record

SEEDS = (61, 62, 63)
#: Atoms, and part of the counts.
KINDS = ((200, 1.0), (200, 0.5), (600, 0.5))
#: What is changed, and to what; nothing first.
CHANGES: tuple[dict[str, float], ...] = (
    {},
    {"_STEPS": 4},
    {"_STEPS": 16},
    {"_LARGEST": 3.0},
    {"_LARGEST": 12.0},
    {"_NEIGHBOURS": 40},
    {"_NEIGHBOURS": 160},
)
OPTIONS = TiltOptions(likelihood="poisson", probe="fixed", pixel_size=PIXEL, anneal=False)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit that began at the true places, and how far off it is (Å)."""

    ready: PreparedSeries
    fit: TiltFit
    known: ImageUncertainty
    off: Float[np.ndarray, "n 3"]

    @classmethod
    def of(cls, atoms: int, dose: float, seed: int) -> "Fitted":
        """Of a ball of disturbed diamond."""
        rng = np.random.default_rng(seed)
        truth = glass(atoms, rng)
        ready = prepare_series(*series(truth, dose, rng), ["Si"], OPTIONS)
        start = Start(truth, np.full(atoms, 14), np.zeros(atoms, bool), np.arange(1, atoms + 1))
        fit = refine_start(ready, start, OPTIONS, lambda *_: None)
        off = fit.positions - truth
        known = measure_uncertainty(FittedSeries.of(ready.series, fit), False)
        return cls(ready, fit, known, off - off.mean(axis=0))

    def z(self, changes: dict[str, float] | None) -> Float[np.ndarray, " k"]:
        """Errors in units of their bars: those of the curvature, or of refits with other limits."""
        known = self.known
        if changes is not None:
            before = {name: getattr(sampled, name) for name in changes}
            for name, value in changes.items():
                setattr(sampled, name, type(before[name])(value))
            # How many steps there are is in the compiled program.
            jax.clear_caches()
            excess = sampled.sampled_excess(
                self.ready.series, self.fit, known.covariances, None, known.excess, seed=1
            )
            for name, value in before.items():
                setattr(sampled, name, value)
            known = known.less_certain(excess.positions, excess.amplitudes)
        return (self.off / known.positions).ravel()


def rows() -> Iterator[tuple[str, ...]]:
    """A line for each setting: root-mean-square z and robust z, of each kind of series."""
    fits = {kind: [Fitted.of(*kind, seed) for seed in SEEDS] for kind in KINDS}
    for changes in (None, *CHANGES):
        z = [np.concatenate([fit.z(changes) for fit in some]) for some in fits.values()]
        told = [f"{np.sqrt(np.mean(x**2)):.3f}, {1.4826 * np.median(np.abs(x)):.3f}" for x in z]
        if changes is None:
            yield ("curvature alone", *told)
        else:
            yield (", ".join(f"{k.strip('_').lower()} {v:g}" for k, v in changes.items()) or "as is", *told)


def main() -> None:
    found = []
    for row in rows():
        print(*row, sep=" | ", flush=True)
        found.append(row)
    header = ("error bars", *(f"{atoms} atoms, {dose:g} of the counts" for atoms, dose in KINDS))
    path = Path(__file__).with_name("sampled.md")
    record(path, "python -m experiments.many_atoms.sampled", markdown(header, found))


if __name__ == "__main__":
    main()
