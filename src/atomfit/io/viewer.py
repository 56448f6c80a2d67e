"""A ChimeraX script that shows the result: map, atoms and thermal ellipsoids."""

from pathlib import Path

from atomfit.support.units import HALF_PROBABILITY_SCALE


def write_chimerax_script(path: Path, map_path: str, level: float) -> None:
    """Write a script for ChimeraX; it opens files by paths relative to itself.

    **Arguments:**

    - `path`: of the script.
    - `map_path`: of the map, relative to the script's directory; one that `can_be_named`.
    - `level`: at which to contour the map (map units).
    """
    lines = [
        "# Open this file in ChimeraX (it closes what is open): map, refined atoms, 50 % ellipsoids.",
        "close",
        f'open "{map_path}"',
        'open "model.mrc"',
        'open "atoms.cif"',
        f"volume #1 style mesh level {level:.6g} color gray",
        f"volume #2 style surface level {level:.6g} color cornflower blue transparency 60",
        "hide #2 models",
        "style #3 ball",
        "size #3 atomRadius 0.3",
        "color byattribute bfactor #3 palette blue:white:red",
        f"aniso #3 scale {HALF_PROBABILITY_SCALE:.4f}",
        "lighting soft",
        "view",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def can_be_named(path: str) -> bool:
    """Whether a script can name a path: nothing in it ends a line or a quotation, or has no encoding."""
    return path.isprintable() and not set(path) & set('"\\')
