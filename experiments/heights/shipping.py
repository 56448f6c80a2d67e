"""Weights of a run into the package, with the recipe that made them; and the table of their scores."""

from importlib.metadata import version
from pathlib import Path

import atomfit.networks
from atomfit.networks import load_weights, save_weights, shipped_weights
from experiments.heights import pool, scoring, specimens, training, validation
from experiments.recording import LIBRARIES, markdown, record

ZONE = "110"


def recipe(crystal: str, seed: int, state: training.State, start: str = "") -> dict[str, object]:
    """How weights came about.

    **Arguments:**

    - `crystal`, `seed`, `state`: of the run.
    - `start`: the weights that it began with, if any.
    """
    began = f" --start {start}" if start else ""
    steps = int(state.step)
    return {
        "crystal": crystal,
        "zone": ZONE,
        "voltage_kv": specimens.VOLTAGE,
        "pixel_size": specimens.PIXEL,
        "command": f"python -m experiments.heights train --crystal {crystal} --seed {seed}{began}",
        "hours": round(float(state.seconds) / 3600, 3),
        "steps": steps,
        "patches": steps * pool.BATCH,
        "patch": pool.PATCH,
        "optimiser": f"AdamW, peak rate {training.PEAK_RATE}, warm-up {training.WARM_UP} steps, "
        f"cosine of the time, weight decay {training.DECAY}, mean of weights {training.MEAN}",
        "doses": list(pool.DOSES),
        "defocus_nm": "60 % from 1 to 9, the rest from -10 to 10",
        "c3_um": "-11 to -7",
        "c5_mm": "3 to 7",
        "focal_spread_nm": "2 to 4.5",
        "most_atoms": specimens.MOST,
        "held_out_shapes": [
            f"{outline} edge, {profile} thickness" for outline, profile in specimens.HELD_OUT
        ],
        "seeds": {
            "training": "0 and on",
            "validation": [specimens.VALIDATION, specimens.VALIDATION + validation.SPECIMENS],
            "scored": [specimens.SCORED, specimens.SCORED + scoring.SPECIMENS],
        },
        "versions": {name: version(name) for name in LIBRARIES},
    }


def ship(folder: Path, crystal: str, seed: int) -> None:
    """Write the weights of a run into the package.

    **Arguments:**

    - `folder`, `crystal`, `seed`: of the run.
    """
    state = training.load_state(folder / "state.npz", seed)
    if int(state.step) == 0:
        raise SystemExit("there is nothing to ship: run `train` first")
    start = folder / "start.txt"
    told = recipe(crystal, seed, state, start.read_text(encoding="utf-8") if start.is_file() else "")
    trained = scoring.calibrated(state.mean, folder / "validation", crystal, told)
    name = f"{Path(crystal).stem.lower()}_{ZONE}.npz"
    path = Path(atomfit.networks.__path__[0]) / name
    save_weights(path, trained)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {trained.calibration}")


def score(path: Path, folder: Path, crystal: str) -> None:
    """Score the weights in the package.

    **Arguments:**

    - `path`: of the table.
    - `folder`, `crystal`: where scored specimens are kept, and of what they are.
    """
    trained = load_weights(shipped_weights(Path(crystal).stem, ZONE))
    of = trained.recipe
    lines, heights = [], []
    for kind in ("bar", "wide"):
        made = scoring.specimens(folder / "scored", crystal, kind)
        for dose in scoring.DOSES:
            found = scoring.scored(trained, made, dose)
            lines.append(scoring.row(kind, dose, found))
            if kind == "bar":
                heights.append(scoring.by_height(dose, found, specimens.MOST))
    header = ["e/Å²", *map(str, range(1, specimens.MOST + 1))]
    first, last = specimens.SCORED, specimens.SCORED + scoring.SPECIMENS - 1
    record(
        path,
        f"python -m experiments.heights score --crystal {crystal}",
        f"The network alone, {of['hours']} hours and {of['patches']} patches old; no condition is told "
        f"to it. Specimens of seeds {first} to {last}, {scoring.IMAGES} images of {specimens.SIZE}² pixels "
        f"each, with shapes that training never has: {' and '.join(of['held_out_shapes'])}.",
        markdown(scoring.HEADER, lines),
        "Exact, by height (and how many columns there are), of the images called bar:",
        markdown(header, heights),
    )
