"""Whether bright maxima are atoms, or crests of a noise that cannot be measured beside them.

Noise is measured where there is nothing else. If it was masked away there, or lies only within a body,
crests of noise stand out from a silent outside as atoms do, and are as wide as these if the noise was
filtered to that width. Two things tell them apart.

**Order.** Neighbouring atoms have a distance of their own, and few are a little farther (`shell_gap`):
as good as none in a crystal or a small cluster, a third as densely as in the first shell in an amorphous
metal. Crests only keep apart: it is 0.35 to 1.4. Where neighbours are in order all else is spared.

**Surrogates.** Otherwise atoms must describe the map better than maps without atoms that are as like it as
can be (`detection.existence`). Of 160 maps of noise of 20 kinds one came to 4.0 standard deviations, all
others to less; published amorphous films have 12 and more (`experiments/noise_only`).

A box with noise all over is left to the fit, which knows that noise: surrogates of the whole box would bury
a small particle in it.

The same is asked of the views of a tilt series: they must agree on atoms better than by chance
(`projection.existence`).
"""

from atomfit.detection.existence import Existence, existence
from atomfit.detection.noise_floor import quiet_part
from atomfit.doubts.limits import LIMITS
from atomfit.doubts.spacing import WIDTH, liveliest, maxima
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import in_order
from atomfit.support.errors import Doubt


def beside_noise(density: DensityMap, distance: float) -> Existence | None:
    """How much better atoms describe a map than noise like it; None if that need not be asked.

    **Arguments:**

    - `density`: a map in which atoms are bright.
    - `distance`: of neighbours (Å).
    """
    density = liveliest(density)
    denoised, places = maxima(density, distance)
    if in_order(places, LIMITS.noise_pairs) or not quiet_part(denoised, distance) < LIMITS.noise_silent:
        return None
    return existence(density, places, (WIDTH * distance) ** 2, distance)


def noise_doubts(found: Existence | None) -> list[Doubt]:
    """Doubts about a map in which noise of its own kind would have as good atoms."""
    if found is None or found.deviations > LIMITS.noise_enough:
        return []
    return [
        Doubt(
            "what stands out may be noise: atoms describe it no better than noise of the same colour and "
            f"outline (by {max(found.deviations, 0.0):.1f} standard deviations; "
            f"{LIMITS.noise_enough:g} would tell)",
            "look at the map, and give it as it was before it was masked, clipped or smoothed",
        )
    ]


def disagreeing_views(found: Existence | None) -> list[Doubt]:
    """Doubts about a series whose views agree on atoms no better than if they had nothing in common."""
    if found is None or found.deviations > LIMITS.noise_views:
        return []
    return [
        Doubt(
            "the images may show noise, or other views than were given: they agree on atoms no better than "
            f"by chance (by {max(found.deviations, 0.0):.1f} standard deviations; "
            f"{LIMITS.noise_views:g} would tell)",
            "look at the images, check tilts and alignment, or give atoms to start from (--start)",
        )
    ]
