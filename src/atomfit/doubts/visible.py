"""Which images show which atoms, and whether there are views that can show none of them.

A view whose centre was mistyped is not seen by a fit: its gain goes to what its noise gives, and all the
others look as good as before. So it is refused, by the number of the view and where it has its centre.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.projection.agreement import seen_at
from atomfit.projection.views import TiltSeries
from atomfit.support.errors import InputError


def shown(positions: Float[np.ndarray, "n 3"], series: TiltSeries, margin: float) -> Bool[np.ndarray, " n"]:
    """Atoms that at least one image shows, or would if it reached farther by a margin (Å)."""
    return np.any(shown_in_views(positions, series, margin), axis=0)


def shown_in_views(
    positions: Float[np.ndarray, "n 3"], series: TiltSeries, margin: float
) -> Bool[np.ndarray, "v n"]:
    """Which atoms each image shows, or would if it reached farther by a margin (Å)."""
    edge = margin / series.pixel
    size = np.array(series.shape[::-1]) - 1
    seen = np.zeros((len(series), len(positions)), bool)
    for k, (rotation, centre) in enumerate(zip(series.views.rotations, series.views.centres, strict=True)):
        places = seen_at(positions - series.centre, rotation, centre, series.pixel)
        seen[k] = np.all((places >= -edge) & (places <= size + edge), axis=1)
    return seen


def require_atoms_in_views(seen: Bool[np.ndarray, "v n"], series: TiltSeries) -> None:
    """**Raises:** `InputError` if there are views in which none of the atoms is."""
    none = np.flatnonzero(~seen.any(axis=1))
    if not len(none) or not seen.shape[1]:
        return
    centre = _centre_of(series, int(none[0]))
    raise InputError(
        f"no atom is in the image of {_first(none)}, which has its centre at {centre}",
        "correct the centre (centre_u_px, centre_v_px), or leave that view out",
        "--views",
    )


def require_centres_in_images(series: TiltSeries, reach: float | None = None) -> None:
    """Where nothing but the images tells of a specimen, it is about the centre that views turn about.

    **Arguments:**

    - `series`: the images.
    - `reach`: how far atoms may be from that centre (Å); an image's size if nothing is known of it.

    **Raises:** `InputError` if there are views that have it far outside of their images.
    """
    size = np.array(series.shape[::-1])
    beyond = size if reach is None else reach / series.pixel
    far = np.flatnonzero(np.any(np.abs(series.views.centres - size / 2) > size / 2 + beyond, axis=1))
    if len(far):
        raise InputError(
            f"{_first(far)} has its centre at {_centre_of(series, int(far[0]))}, far outside of its image",
            "correct the centre (centre_u_px, centre_v_px), or leave that view out",
            "--views",
        )


def _first(views: Int[np.ndarray, " k"]) -> str:
    """The first of them, and how many there are."""
    return f"view {views[0]}" + (f" (one of {len(views)} such)" if len(views) > 1 else "")


def _centre_of(series: TiltSeries, view: int) -> str:
    u, v = series.views.centres[view]
    rows, columns = series.shape
    return f"pixel ({u:.6g}, {v:.6g}) of {columns} x {rows}"
