"""Atoms from images alone, without a model or a map to start from."""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from atomfit import tilt
from atomfit.io.models import read_model
from atomfit.options.tilt import TiltOptions
from atomfit.structure.matching import match
from atomfit.workflows.tilt_preparation import prepare_series
from experiments.recording import markdown, record

#: Atoms farther than this from their place do not count as found (Å).
TOLERANCE = 0.9
COUNTS = TiltOptions(likelihood="poisson")
CASES = {
    **{
        f"amorphous Si, {dose} e/Å², {probe}": (
            *("amorphous_si_208", f"images_dose_{name}.mrc", "Si", 1),
            replace(COUNTS, probe=probe),
        )
        for dose, name in (("1.6e5", "1p6e5"), ("1.6e4", "1p6e4"), ("8e3", "8p0e3"))
        for probe in ("direct", "fixed")
    },
    "389 Pt, 25 mrad, every 4th view": (
        *("tilt_pt389_25mrad", "images.mrc", "Pt", 4),
        TiltOptions(mask_value=0.0),
    ),
    "389 Pt, 40 mrad": (*("tilt_pt389_40mrad", "images.mrc", "Pt", 1), TiltOptions(mask_value=0.0)),
    "2110 Pt, 25 mrad": (*("tilt_pt2110_25mrad", "images.mrc", "Pt", 1), TiltOptions(mask_value=0.0)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory with the series")
    parser.add_argument("--cases", nargs="*", help="those whose names begin like this; all by default")
    given = parser.parse_args()
    rows = []
    for name, (folder, file, symbol, step, options) in CASES.items():
        if given.cases and not name.startswith(tuple(given.cases)):
            continue
        ready = prepare_series(
            given.data / folder / file, given.data / folder / "views.csv", symbol, options
        )
        truth = read_model(given.data / folder / "atoms_truth.xyz", "truth").positions
        begin = time.perf_counter()
        result = tilt(replace(ready, series=ready.series[::step]), None, symbol, options)
        seconds = time.perf_counter() - begin
        pairs = match(result.positions, truth, TOLERANCE)
        off = (result.positions[pairs.found] - truth[pairs.known]) / result.position_errors[pairs.found]
        z = float(np.sqrt(np.mean((off - off.mean(axis=0)) ** 2)))
        rows.append(
            (name, f"{len(pairs.found)} of {len(truth)}", pairs.false, f"{100 * pairs.rmsd:.2f}")
            + (f"{z:.2f}", f"{seconds:.0f}")
        )
        print(*rows[-1], sep=" | ", flush=True)
        jax.clear_caches()
        record(
            Path(__file__).parent / "nothing.md",
            "python -m experiments.local_orbital_tomography.nothing DATA",
            f"Within {TOLERANCE:g} Å. z: root mean square of errors over their standard uncertainties.",
            markdown(("series", "found", "false", "RMSD, pm", "z", "seconds"), rows),
        )


if __name__ == "__main__":
    main()
