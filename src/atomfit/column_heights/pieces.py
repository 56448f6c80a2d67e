"""A large image in, heights of its columns out: piece by piece, each with conditions of its own.

Work and memory go with the square of the columns that are integrated over together, and a piece of some
tens of columns tells the conditions well. Pieces overlap, and of each the middle is kept. A piece in
which the network sees too few columns, or no lattice, has the network's heights, off the lattice. Focus
and the like are means over pieces.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.column_heights.by_network import network_heights
from atomfit.column_heights.found import Condition, Heights, independent_draws
from atomfit.networks.columns_seen import ColumnsSeen
from atomfit.networks.looking import ImageSeen, Part, tiles
from atomfit.networks.residual_unet import STRIDE
from atomfit.support.errors import InputError

#: Edge of the largest image that is one piece, of a piece, and how far its middle is from its edges (Å).
WHOLE, EDGE, BORDER = 40.0, 34.0, 4.0

Solve = Callable[[Float[np.ndarray, "rows columns"], ImageSeen], Heights]


def in_pieces(
    counts: Float[np.ndarray, "rows columns"],
    pixel: float,
    seen: ImageSeen,
    seen_pixel: float,
    gain: float,
    solve: Solve,
) -> Heights:
    """Heights of an image that may be large.

    **Arguments:**

    - `counts`, `pixel`, `gain`: of the image, its pixels' edge (Å), and counts of an electron.
    - `seen`, `seen_pixel`: what a network makes of it, and the edge of its maps' pixels (Å).
    - `solve`: finds heights in a piece, of which the network sees so much.
    """
    if max(counts.shape) * pixel <= WHOLE:
        return solve(counts, seen)
    edge, border = (STRIDE * round(length / pixel / STRIDE) for length in (EDGE, BORDER))
    parts: list[Heights] = []
    expected = np.zeros(counts.shape)
    for tile, kept, within in tiles((counts.shape[0], counts.shape[1]), edge, border):
        origin = pixel * np.array([tile[1].start, tile[0].start])
        there = cut_out(seen, tile, pixel, seen_pixel)
        # When a user has had enough, the rest is the network's.
        over = any(one.interrupted for one in parts)
        try:
            found = (
                replace(network_heights(there, gain), interrupted=True)
                if over
                else solve(counts[tile], there)
            )
        except InputError:
            found = replace(network_heights(there, gain), on_lattice=np.zeros(len(there.columns), bool))
        expected[kept] = float(counts[tile].mean()) if found.expected is None else found.expected[within]
        low = pixel * (np.array([kept[1].start, kept[0].start]) - 0.5)
        high = pixel * (np.array([kept[1].stop, kept[0].stop]) - 0.5)
        places = found.positions + origin
        inside = np.all((places >= low) & (places < high), axis=1)
        parts.append(chosen(replace(found, positions=places), inside))
    return joined(parts, seen.dose, gain, expected)


def cut_out(seen: ImageSeen, tile: Part, pixel: float, seen_pixel: float) -> ImageSeen:
    """What a network sees of a part of an image, in the part's frame.

    **Arguments:**

    - `seen`, `seen_pixel`: of the whole.
    - `tile`, `pixel`: rows and columns of the image's own pixels.
    """
    ratio = pixel / seen_pixel
    rows, columns = (slice(round(one.start * ratio), round(one.stop * ratio)) for one in tile)
    low = pixel * (np.array([tile[1].start, tile[0].start]) - 0.5)
    high = pixel * (np.array([tile[1].stop, tile[0].stop]) - 0.5)
    of = seen.columns
    inside = np.all((of.positions >= low) & (of.positions < high), axis=1)
    origin = pixel * np.array([tile[1].start, tile[0].start])
    kept = ColumnsSeen(of.positions[inside] - origin, of.presence[inside], of.probabilities[inside])
    return replace(
        seen, presence=seen.presence[rows, columns], heights=seen.heights[rows, columns], columns=kept
    )


def chosen(found: Heights, which: Bool[np.ndarray, " n"]) -> Heights:
    """Some of the columns; planes of pieces are not the same, so none says where columns begin.

    **Arguments:**

    - `found`, `which`: columns, and those that are kept.
    """
    unknown = np.full(int(which.sum()), np.nan)
    return replace(found.only(which), starts=unknown, start_esds=unknown, levels=None)


def joined(
    parts: list[Heights], dose: float, gain: float, expected: Float[np.ndarray, "rows columns"]
) -> Heights:
    """Columns of all pieces.

    **Arguments:**

    - `parts`: the pieces.
    - `dose`, `gain`, `expected`: of the whole image.
    """
    decided = [one for one in parts if one.expected is not None] or parts
    return Heights(
        np.concatenate([one.positions for one in parts]),
        np.concatenate([one.position_esds for one in parts]),
        np.concatenate([one.probabilities for one in parts]),
        np.concatenate([one.starts for one in parts]),
        np.concatenate([one.start_esds for one in parts]),
        np.concatenate([one.on_lattice for one in parts]),
        conditions=means([one.conditions for one in decided]),
        dose=dose,
        gain=gain,
        expected=None if decided[0].expected is None else expected,
        misfit=float(np.max([one.misfit for one in decided])),
        settled=all(one.settled for one in decided),
        interrupted=any(one.interrupted for one in parts),
        draws=np.concatenate([_shuffled(one, k) for k, one in enumerate(parts)], axis=1),
    )


def _shuffled(part: Heights, number: int) -> Int[np.ndarray, "draws n"]:
    """Draws of a piece in an order of its own: pieces have nothing in common."""
    if part.draws is None:
        return independent_draws(part.probabilities, seed=number)
    return np.random.default_rng([number, 39]).permutation(part.draws)


def means(conditions: list[tuple[Condition, ...]]) -> tuple[Condition, ...]:
    """Weighted means of conditions, with errors as large as pieces differ.

    **Arguments:**

    - `conditions`: of each piece.
    """
    found = []
    for same in zip(*conditions, strict=True):
        values, esds = (np.array([getattr(one, name) for one in same]) for name in ("value", "esd"))
        weights = 1 / np.maximum(esds, 1e-12) ** 2
        mean = float((weights * values).sum() / weights.sum())
        excess = float((weights * (values - mean) ** 2).sum()) / max(len(same) - 1, 1)
        esd = np.sqrt(max(excess, 1.0) / weights.sum())
        found.append(replace(same[0], value=mean, esd=float(esd)))
    return tuple(found)
