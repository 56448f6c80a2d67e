"""A simulated particle in a tilt series: images, the views they claim to be from, and those they are from.

Images are line integrals of the very density that `simulation.maps` draws, seen through a probe. Atoms are
sums of Gaussians there and the probe is one too, so that an image is drawn exactly, without slices: as
Gaussians in two dimensions (`render_map`). Scattering is linear; what electrons do twice is left out.

What spoils a real series can be planted: noise of counts (Poisson) or of a camera (Gaussian), drifts that
the alignment has left, rotations that are not quite those which were written down, and gains. The views
that are written are the nominal ones; the true ones stand beside them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from atomfit.options.simulation import SeriesOptions
from atomfit.projection.probe import Probe, make_probe
from atomfit.projection.views import Views
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation.maps import Simulation
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics

#: Where Gaussians end (standard deviations), and the least room around a particle (Å).
_CUTOFF = 6.0
_MARGIN = 6.0
_MOST_PIXELS = 2**31


@dataclass(frozen=True, eq=False)
class SimulatedSeries:
    """A simulated tilt series and its truth.

    **Fields:**

    - `images`: counts, or map units x Å.
    - `nominal`: the views that the series claims to be from.
    - `views`: those it is from.
    - `shifts`: of each image, along its rows and columns (Å); they are in `views`.
    - `turns`: rotation vectors of the errors (degrees); they are in `views`.
    - `gains`: of each image.
    - `scale`: image units per map unit x Å.
    - `centre`: point of the specimen that the views turn about, in the map's frame (Å).
    - `options`: that made it.
    """

    images: Float[np.ndarray, "v rows columns"]
    nominal: Views
    views: Views
    shifts: Float[np.ndarray, "v 2"]
    turns: Float[np.ndarray, "v 3"]
    gains: Float[np.ndarray, " v"]
    scale: float
    centre: Float[np.ndarray, " 3"]
    options: SeriesOptions = field(default_factory=SeriesOptions)


@own_numerics()
def simulate_series(particle: Simulation, options: SeriesOptions) -> SimulatedSeries:
    """Simulate images of a particle whose map was simulated.

    **Arguments:**

    - `particle`: the truth.
    - `options`: how its images are made.

    **Raises:** `InputError` if the particle does not fit into the images, or these not into memory.
    """
    rng = np.random.default_rng([options.seed, 2])
    centre, pixel = particle.map.grid.centre, options.pixel_size
    shape = _shape(particle.positions - centre, options)
    nominal = Views.from_tilts(options.angles, options.tilt_axis, shape)
    n = len(nominal)
    shifts, turns = rng.normal(0, options.drift, (n, 2)), rng.normal(0, options.turn_error, (n, 3))
    gains = np.maximum(rng.normal(1, options.gain_spread, n), 0.1)
    turned = Rotation.from_rotvec(turns, degrees=True).as_matrix() @ nominal.rotations
    views = Views(turned, nominal.centres + shifts / pixel)
    scatterers = particle.scatterers()
    reach = np.linalg.norm(particle.positions - centre, axis=1).max(initial=1.0)
    probe = make_probe(options.probe, float(reach), options.voltage, options.convergence, options.defocus)
    drawn = projected(scatterers, views, centre, shape, pixel, probe)
    images = np.stack([gain * image for gain, image in zip(gains, drawn, strict=True)])
    amplitude = float(particle.amplitudes.mean())
    scale = 1.0 if options.counts is None else options.counts / n * pixel**2 / amplitude
    peak = _peak_of_one(particle, probe)
    images = scale * (images + options.background * peak)
    if options.counts is None:
        images += options.noise * peak * rng.standard_normal(images.shape)
    else:
        # A probe of Gaussians with negative weights may be below zero by a rounding far from all atoms.
        images = rng.poisson(np.maximum(images, 0)).astype(np.float64)
    return SimulatedSeries(
        images.astype(np.float32), nominal, views, shifts, turns, gains, scale, centre, options
    )


def projected(
    scatterers: Gaussians,
    views: Views,
    centre: Float[np.ndarray, " 3"],
    shape: tuple[int, int],
    pixel: float,
    probe: Probe | None = None,
) -> Iterator[Float[np.ndarray, "rows columns"]]:
    """Line integrals of Gaussians along the beam, seen through a probe, one image a view.

    **Arguments:**

    - `scatterers`: in three dimensions.
    - `views`: from where they are seen.
    - `centre`: the point that the views turn about (Å).
    - `shape`: of an image, in pixels (rows, columns).
    - `pixel`: edge of a pixel (Å).
    - `probe`: of which a Gaussian is drawn for each of its own; none by default.
    """
    seen = np.asarray(scatterers.centres) - centre
    matrices, weights = np.asarray(scatterers.matrices), np.asarray(scatterers.weights)
    for rotation, middle in zip(views.rotations, views.centres, strict=True):
        turned = seen @ rotation.T
        spreads = (rotation @ matrices @ rotation.T)[:, :2, :2]
        grid = Grid(shape, np.full(2, pixel), -pixel * middle)
        if probe is None:
            yield render_map(Gaussians(turned[:, :2], spreads, weights), grid, _CUTOFF).astype(np.float64)
            continue
        image = np.zeros(shape)
        parts = np.asarray(probe.weights(jnp.asarray(turned[:, 2], jnp.float32)), np.float64)
        for variance, part in zip(np.asarray(probe.variances, np.float64), parts.T, strict=True):
            wider = Gaussians(turned[:, :2], spreads + variance * np.eye(2), weights * part)
            image += render_map(wider, grid, _CUTOFF)
        yield image


def _peak_of_one(particle: Simulation, probe: Probe) -> float:
    """Height of a core atom's image in the middle of the particle (map units x Å)."""
    alone = particle.scatterers_of_one()
    view = Views(np.eye(3)[None], np.zeros((1, 2)))
    return float(next(projected(alone, view, np.zeros(3), (1, 1), 1.0, probe))[0, 0])


def _shape(places: Float[np.ndarray, "n 3"], options: SeriesOptions) -> tuple[int, int]:
    """Rows and columns of images that hold the particle in all views."""
    reach = np.linalg.norm(places, axis=1).max(initial=0.0) + 3 * options.drift
    edge = options.image_size or 2 * int(np.ceil((reach + _MARGIN) / options.pixel_size))
    if reach > edge // 2 * options.pixel_size:
        raise InputError(
            "the particle does not fit into the images", "give more pixels, or none", "--image-size"
        )
    if edge**2 * options.tilts > _MOST_PIXELS:
        raise InputError(
            f"{options.tilts} images of {edge} x {edge} pixels cannot be made",
            "give fewer or larger pixels",
            "--pixel-size",
        )
    return edge, edge
