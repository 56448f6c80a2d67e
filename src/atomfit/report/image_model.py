"""The model in three dimensions for an image's page: the model in, sites, numbers and words out.

Two views across the beam show what the image does not: which sites are filled, how sure that is, and how
many neighbours atoms have. What one projection cannot tell stands beside them.
"""

from typing import Any

import numpy as np

from atomfit.report.whole import Row, row_of
from atomfit.stacking.model import Model3D

#: More sites would make the page's drawings slow.
_MOST = 6000


def model_shown(model: Model3D, told: dict[str, Any]) -> dict[str, Any]:
    """What the page's section on the model is told.

    **Arguments:**

    - `model`: in three dimensions.
    - `told`: what goes into `summary.json` of it.

    **Returns:** `sites` with places along the image's lattice and the beam (Å), their probabilities and
        coordination numbers; `shells`, `numbers`, `notes` and `doubts`.
    """
    sites, positions = model.sites, model.positions
    known = np.flatnonzero(np.isfinite(positions).all(axis=1))[:_MOST]
    middle = positions[known][sites.chosen[known]].mean(axis=0)
    first = model.stacking.vectors[0, :2] / np.linalg.norm(model.stacking.vectors[0, :2])
    across = (positions[known] - middle)[:, :2] @ np.array([first, [-first[1], first[0]]]).T
    return {
        "sites": {
            "along": across[:, 0].round(3),
            "across": across[:, 1].round(3),
            "height": (positions[known, 2] - middle[2]).round(3),
            "probability": sites.probabilities[known].round(4),
            "cn": sites.coordination[known].round(3),
            "chosen": sites.chosen[known],
            "number": known + 1,
        },
        "radius": 0.5 * model.stacking.period if model.stacking.period < 3.2 else 1.4,
        "shells": {"numbers": model.shells.numbers, "errors": model.shells.numbers_esd},
        "open": sites.probabilities.round(4),
        "numbers": model_rows(told),
        "notes": model.notes(),
        "doubts": model.doubts(),
    }


def _refined_rows(told: dict[str, Any] | None) -> list[Row]:
    """What the image's pixels did to the model; nothing if they did not."""
    if told is None:
        return []
    across = float(np.hypot(*told["moved"][:2]))
    return [
        row_of("atoms moved by the pixels, in the image", round(across, 3), unit="Å"),
        row_of("atoms moved by the pixels, along the beam", round(float(told["moved"][2]), 3), unit="Å"),
        row_of("chi-square of a pixel", round(told["chi_square"], 3)),
    ]


def model_rows(told: dict[str, Any]) -> list[Row]:
    """The model's figures.

    **Arguments:**

    - `told`: what goes into `summary.json` of it.
    """
    atoms, sampling = told["atoms"], told["sampling"]
    inside = len(told["coordination"]["numbers"]) - 1
    outer = float(np.sum(told["coordination"]["numbers"][:inside]))
    return [
        row_of("atoms", atoms["mean"], atoms["esd"]),
        row_of("atoms of the model", atoms["model"]),
        row_of("sites of it that are expected to be wrong", round(told["expected_wrong_sites"], 1)),
        row_of("atoms with fewer neighbours than in the bulk", round(outer, 1)),
        row_of(
            "temperature" if told["temperature_given"] else "temperature that counts look like",
            round(told["temperature"]),
            unit="K",
        ),
        *_refined_rows(told["refined"]),
        row_of("lengths in the image, by the bulk's", round(told["lattice"]["scale"], 4)),
        row_of("R-hat of the energy", round(sampling["r_hat_energy"], 3)),
        row_of("independent samples", round(sampling["independent_samples"])),
        row_of("atoms in columns whose chains differ", round(100 * sampling["unmixed_atoms"], 1), unit="%"),
    ]
