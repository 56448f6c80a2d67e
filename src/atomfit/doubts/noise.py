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
from atomfit.doubts.spacing import WIDTH, liveliest, maxima
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import in_order
from atomfit.support.errors import Doubt

#: Pairs that tell whether neighbours are in order.
_FEWEST_PAIRS = 9
#: Outside it is silent if the quietest blocks, of a neighbour distance, are below this part of the loudest.
#: Particles that noise has put out of order have 0.24 and more.
_SILENT = 0.2
#: Standard deviations below which there is no telling atoms from noise, and from which on there is.
ENOUGH, CLEAR = 5.0, 7.0
#: The same for views, whose highest crests scatter to the high side.
AGREED = 6.0


def beside_noise(density: DensityMap, distance: float) -> Existence | None:
    """How much better atoms describe a map than noise like it; None if that need not be asked.

    **Arguments:**

    - `density`: a map in which atoms are bright.
    - `distance`: of neighbours (Å).
    """
    density = liveliest(density)
    denoised, places = maxima(density, distance)
    if in_order(places, _FEWEST_PAIRS) or not quiet_part(denoised, distance) < _SILENT:
        return None
    return existence(density, places, (WIDTH * distance) ** 2, distance)


def noise_doubts(found: Existence | None) -> list[Doubt]:
    """Doubts about a map in which noise of its own kind would have as good atoms."""
    if found is None or found.deviations > ENOUGH:
        return []
    return [
        Doubt(
            "what stands out may be noise: atoms describe it no better than noise of the same colour and "
            f"outline (by {max(found.deviations, 0.0):.1f} standard deviations; {ENOUGH:g} would tell)",
            "look at the map, and give it as it was before it was masked, clipped or smoothed",
        )
    ]


def disagreeing_views(found: Existence | None) -> list[Doubt]:
    """Doubts about a series whose views agree on atoms no better than if they had nothing in common."""
    if found is None or found.deviations > AGREED:
        return []
    return [
        Doubt(
            "the images may show noise, or other views than were given: they agree on atoms no better than "
            f"by chance (by {max(found.deviations, 0.0):.1f} standard deviations; {AGREED:g} would tell)",
            "look at the images, check tilts and alignment, or give atoms to start from (--start)",
        )
    ]
