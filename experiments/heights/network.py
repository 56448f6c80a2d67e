"""Train a network that tells the heights of columns in one HRTEM image, and score it."""

import argparse
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("generate", "train", "ship", "score")
LOCAL = HERE.parents[1] / "local" / "heights"


def main() -> None:
    parser = argparse.ArgumentParser("python -m experiments.heights", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--crystal", default="CeO2", help="CeO2, Pt, Au or a CIF file; seen along [110]")
    parser.add_argument("--hours", type=float, default=4.0, help="of training, all runs together")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    parser.add_argument(
        "--generate",
        type=int,
        default=0,
        help="processes of `generate` that run beside; 0: train makes all",
    )
    parser.add_argument("--worker", type=int, default=0, help="generate: which of those processes this is")
    parser.add_argument("--start", type=Path, help="train: weights to begin with, as another material's")
    given = parser.parse_args()
    folder = LOCAL / Path(given.crystal).stem
    match given.part:
        case "generate":
            from experiments.heights.pool import Pool, forever

            for seed in forever(Pool(folder / "pool", given.crystal), given.worker, max(given.generate, 1)):
                print(f"specimen {seed}", flush=True)
        case "train":
            from experiments.heights.training import train

            train(folder, given.crystal, given.hours, given.seed, given.generate == 0, given.start)
        case "ship":
            from experiments.heights.shipping import ship

            ship(folder, given.crystal, given.seed)
        case "score":
            from experiments.heights.shipping import score

            suffix = "" if folder.name == "CeO2" else f"_{folder.name.lower()}"
            score(HERE / f"heights{suffix}.md", folder, given.crystal)
