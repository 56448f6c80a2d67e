"""All files of two images compared: see `docs/files.md` for what they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.figures import load_matplotlib, require_matplotlib
from atomfit.io.column_comparisons import column_summary, write_column_comparison, write_columns_side
from atomfit.io.json_files import write_json
from atomfit.io.mrc import write_image
from atomfit.io.outputs import optional, staged
from atomfit.io.record import hash_of, made_by
from atomfit.io.tables import write_columns
from atomfit.report.column_comparison import column_comparison_contents
from atomfit.report.page import COLUMN_COMPARISON, write_page

if TYPE_CHECKING:
    from atomfit.results.compare import ImageComparison

_LIBRARIES = ("atomfit", "numpy", "scipy")


def write_two_images(
    result: "ImageComparison", directory: Path, overwrite: bool = False, figures: bool = False
) -> Path:
    """Write every file of two images compared.

    **Arguments:**

    - `result`: of `compare`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.
    - `figures`: whether figures are drawn as well.

    **Raises:** `InputError` if the directory may not be written to, or figures cannot be drawn.
    """
    if figures:
        require_matplotlib()
    c = result.comparison
    found = column_summary(c, result.options.fdr, result.options.calibrate)
    difference = result.difference
    found["image_difference"] = (
        {"not_known": result.no_difference} if difference is None else difference.told()
    )
    record = _record(result)
    warnings: list[str] = []
    with staged(directory, overwrite, result.inputs) as stage:
        for name, table in result.tables.items():
            # Imports JAX, which was needed to find them.
            from atomfit.files.image_columns import IMAGE_COLUMNS

            write_columns(stage / f"{name}_columns.csv", IMAGE_COLUMNS, table)
        write_column_comparison(stage / "compare.csv", c)
        for side in "ab":
            with optional(stage / f"{side}.xyz", warnings) as path:
                write_columns_side(path, c, side)
        if figures:
            with optional(stage / "figures", warnings) as path:
                load_matplotlib()
                from atomfit.figures.column_comparison import write_column_comparison_figures

                write_column_comparison_figures(path, c, difference)
        with optional(stage / "compare.html", warnings) as path:
            contents = column_comparison_contents(c, found, record, difference)
            write_page(path, contents, COLUMN_COMPARISON)
        if difference is not None:
            both = {"difference": difference.values, "difference_in_noise": difference.scores}
            for name, values in both.items():
                write_image(stage / f"{name}.mrc", np.where(difference.known, values, 0.0), difference.grid)
        # Last, because it tells what is missing.
        told = {"inputs": list(result.inputs), "run": record, "not_written": warnings}
        write_json(stage / "compare.json", told | found)
    return directory


def _record(result: "ImageComparison") -> dict[str, Any]:
    """How images were compared: versions, options, and the inputs by their SHA-256."""
    tables = [path / "columns.csv" if path.is_dir() else path for path in result.inputs]
    options, c = result.options, result.comparison
    return {
        **made_by(_LIBRARIES),
        "options": {
            "element": result.element,
            "distance": options.distance,
            "fdr": options.fdr,
            "calibrate": options.calibrate,
            "register": options.move,
            "mirror": options.mirror,
            "library": options.library,
            "library_error": options.library_error,
        },
        "files": [
            {"name": image.name, "path": str(path.absolute()), "sha256": hash_of(path)}
            for image, path in zip((c.a, c.b), tables, strict=True)
        ],
    }
