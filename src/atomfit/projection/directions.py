"""The views of a tilt series in words: how many, about which axis, from where to where."""

import numpy as np
from jaxtyping import Float

from atomfit.projection.views import TiltSeries

#: Beams that lie in one plane within this angle (degrees) are those of one tilt axis.
_ONE_PLANE = 2.0


def describe_views(series: TiltSeries) -> str:
    """One sentence about the directions that a specimen was seen from."""
    rotations = series.views.rotations
    rows, columns = series.shape
    images = f"{len(series)} views of {columns} x {rows} pixels of {series.pixel:.4g} Å"
    axis = tilt_axis(rotations)
    if axis is None:
        tilts = np.degrees(np.arccos(np.clip(rotations[:, 2, 2], -1, 1)))
        return f"{images}, about no single axis; the beam is {tilts.min():.1f} to {tilts.max():.1f}° off z"
    angles = np.sort(np.degrees(tilts_about(rotations, axis)))
    in_images = np.mean(rotations @ axis, axis=0)
    return (
        f"{images}, tilted from {angles[0]:.1f} to {angles[-1]:.1f}° about {_axis(axis, 'xyz')} of the "
        f"specimen, which is {_axis(in_images, 'uvw')} of the images"
    )


def tilt_axis(rotations: Float[np.ndarray, "v 3 3"]) -> Float[np.ndarray, " 3"] | None:
    """Axis of the specimen that all views are turned about, with its largest component positive.

    None if there is no such axis.
    """
    beams = rotations[:, 2]
    axis = np.linalg.eigh(beams.T @ beams)[1][:, 0]
    off = np.degrees(np.arcsin(np.clip(np.abs(beams @ axis), 0, 1))).max()
    if off > _ONE_PLANE or len(rotations) < 2:
        return None
    return axis * (1 if axis[np.argmax(np.abs(axis))] > 0 else -1)


def tilts_about(
    rotations: Float[np.ndarray, "v 3 3"], axis: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " v"]:
    """Angles (radians) by which rotations turn the specimen about an axis of it, from where z is the beam.

    They go on beyond half a turn, so that a series from 0 to 177° is one.
    """
    z = np.array([0.0, 0.0, 1.0])
    first = z - axis * axis[2]
    if np.linalg.norm(first) < 0.1:
        first = np.array([1.0, 0.0, 0.0]) - axis * axis[0]
    first /= np.linalg.norm(first)
    # As the specimen is turned right-handedly, the beam turns the other way in it.
    beams = rotations[:, 2]
    return np.unwrap(-np.arctan2(beams @ np.cross(axis, first), beams @ first))


def _axis(vector: Float[np.ndarray, " 3"], names: str) -> str:
    """The name of the axis that a vector is along, or its components."""
    unit = vector / np.linalg.norm(vector)
    main = int(np.argmax(np.abs(unit)))
    if abs(unit[main]) > np.cos(np.radians(_ONE_PLANE)):
        return ("" if unit[main] > 0 else "-") + names[main]
    return "(" + ", ".join(f"{x:.2f}" for x in unit) + ")"
