"""A set's name and a seed in, all that is true of an image out: what is measured, what errors are planted.

Each set has two disjoint groups of seeds: what is tuned by `choose` is reported of `report`. Sets with
planted errors have the specimens, optics and seeds of noise of *bar*, so that what they lose is told in
pairs.
"""

from dataclasses import dataclass, replace

import numpy as np

from atomfit.options.hrtem import HrtemOptions
from experiments.heights.specimens import MOST, PIXEL, VOLTAGE, options_of

GROUPS = {"choose": 3_000_000, "report": 4_000_000}
DOSES = (100.0, 300.0, 1e3, 3e3, 1e4)
#: Sets without errors, and those that have one each; `four` has the first four of these, `all` all of them.
PLAIN = ("bar", "large", "defocus", "published", "vacancies")
ERRORS = (
    "blur",
    "background",
    "debye-waller",
    "c3",
    "absorption",
    "mtf",
    "carbon",
    "mistilt",
    "aberrations",
)
SETS = (*PLAIN, *ERRORS, "four", "all")
#: Of what is planted: Å, part of the dose, factor of B, µm, part, Å, mrad.
BLUR, BACKGROUND, B_SCALE, C3_OFF, ABSORPTION, CARBON, MISTILT = 0.3, 0.08, 2.5, 2.0, 0.05, 20.0, 8.0
#: Transfer at the Nyquist frequency of signal and noise; aberrations of fourth and fifth order (µm).
MTF, NOISE_MTF, FOURTH, FIFTH = 0.5, 0.7, 1.0, 20.0
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Scene:
    """What is true of an image.

    **Fields:**

    - `name`, `seed`: of the set, and of everything random.
    - `options`: specimen, optics and detector; the dose is chosen when electrons are drawn.
    - `background`: of the image, in parts of the dose.
    - `b_scale`: by which B of all elements is greater than the crystal's own.
    - `beyond`: A3, S3, A4, D4, B4 (µm), of which a model of C1 to C5 knows nothing.
    """

    name: str
    seed: int
    options: HrtemOptions
    background: float = 0.0
    b_scale: float = 1.0
    beyond: tuple[complex, ...] = ()

    @property
    def conditions(self) -> dict[str, float]:
        """True values of what an image's conditions may be called."""
        of = self.options
        known = {name: getattr(of, name) for name in ("defocus", "c3", "c5", "focal_spread", "convergence")}
        for name in ("a1", "b2", "a2", "mistilt"):
            known[f"{name}_x"], known[f"{name}_y"] = getattr(of, name)
        return {**known, "blur": of.blur, "absorption": of.absorption, "background": self.background}


def scene(crystal: str, name: str, seed: int) -> Scene:
    """All that is true of an image, but its electrons.

    **Arguments:**

    - `crystal`: CeO2, Pt, Au or a CIF file.
    - `name`: of the set.
    - `seed`: of everything random.
    """
    made = _base(crystal, name, seed)
    planted = {"four": ERRORS[:4], "all": ERRORS}.get(name, (name,))
    # Each error has numbers of its own, so that it is the same alone and together.
    for place, error in enumerate(ERRORS):
        if error in planted:
            made = _planted(made, error, np.random.default_rng([seed, 15, place]))
    return made


def _base(crystal: str, name: str, seed: int) -> Scene:
    rng = np.random.default_rng([seed, 14])
    options = replace(options_of(crystal, seed, "bar"), image_size=256 if name == "large" else 128)
    pairs = {
        one: tuple(map(float, rng.normal(0, by, 2))) for one, by in (("a1", 0.7), ("b2", 20), ("a2", 20))
    }
    options = replace(
        options,
        voltage=VOLTAGE,
        defocus=float(rng.uniform(1, 9)),
        c3=-9.0,
        c5=5.0,
        focal_spread=float(rng.uniform(2, 4.5)),
        convergence=float(rng.uniform(0.05, 0.25)),
        dose=PIXEL**-2,
        **pairs,
    )
    if name == "defocus":
        # Evenly over all, however few seeds there are.
        options = replace(options, defocus=20 * ((seed * _GOLDEN) % 1) - 10)
    if name == "vacancies":
        options = replace(options, vacant=0.08, missing=0.2)
    if name == "published":
        shape = ("flat", "saw-tooth", "stepped")[seed % 3]
        none = (0.0, 0.0)
        options = replace(
            options, outline=shape, profile=shape, thickness=(3, MOST), a1=none, b2=none, a2=none
        )
        options = replace(options, mistilt=none, vacant=0.0, missing=0.0, focal_spread=3.0)
        if shape == "flat":
            options = replace(options, thickness=(3, int(rng.integers(3, MOST + 1))))
    return Scene(name, seed, options)


def _planted(made: Scene, error: str, rng: np.random.Generator) -> Scene:
    of = made.options
    match error:
        case "blur":
            return replace(made, options=replace(of, blur=BLUR))
        case "background":
            return replace(made, background=BACKGROUND)
        case "debye-waller":
            return replace(made, b_scale=B_SCALE)
        case "c3":
            return replace(made, options=replace(of, c3=of.c3 + C3_OFF * float(rng.choice((-1, 1)))))
        case "absorption":
            return replace(made, options=replace(of, absorption=ABSORPTION))
        case "mtf":
            return replace(made, options=replace(of, mtf=MTF, noise_mtf=NOISE_MTF))
        case "carbon":
            return replace(made, options=replace(of, carbon=CARBON))
        case "mistilt":
            angle = rng.uniform(0, 2 * np.pi)
            leaning = (float(MISTILT * np.cos(angle)), float(MISTILT * np.sin(angle)))
            return replace(made, options=replace(of, mistilt=leaning))
        case "aberrations":
            turns = np.exp(2j * np.pi * rng.uniform(size=5))
            sizes = (FOURTH, FOURTH, FIFTH, FIFTH, FIFTH)
            return replace(made, beyond=tuple(complex(s * t) for s, t in zip(sizes, turns, strict=True)))
    raise ValueError(f"there is no error called {error!r}")
