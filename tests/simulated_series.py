"""A small tilt series with known truth, for tests of fits to images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atomfit.io.image_stacks import write_images
from atomfit.io.views import write_views
from atomfit.projection.views import Views
from atomfit.rendering import Gaussians
from atomfit.simulation.series import projected

PIXEL = 0.4
SHAPE = (46, 44)
#: Variance of the atoms (Å²), and integral of their images.
U, AMPLITUDE = 0.12, 2.0


@dataclass(frozen=True)
class Planted:
    """Images of atoms, and what they were made of (positions and shifts in Å)."""

    images: np.ndarray
    views: Views
    positions: np.ndarray
    shifts: np.ndarray
    gains: np.ndarray

    def write(self, folder: Path, start: np.ndarray) -> list[str]:
        """Files for the command, and its arguments."""
        write_images(folder / "images.mrc", self.images, PIXEL)
        write_views(folder / "views.csv", self.views)
        lines = ["id,element,x,y,z", *(f"{i},Pt,{x},{y},{z}" for i, (x, y, z) in enumerate(start, 1))]
        (folder / "start.csv").write_text("\n".join(lines) + "\n")
        names = ("images.mrc", "views.csv", "start.csv")
        images, views, model = (str(folder / name) for name in names)
        return ["tilt", images, "--views", views, "-e", "Pt", "--start", model]


def particle() -> np.ndarray:
    """43 places of an fcc crystal of Pt (Å), turned off the axes."""
    from scipy.spatial.transform import Rotation

    grid = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 3)
    sites = grid[grid.sum(axis=1) % 2 == 0] * 1.96
    nearest = sites[np.argsort(np.linalg.norm(sites, axis=1), kind="stable")][:43]
    return nearest @ Rotation.from_euler("xyz", [17, 31, 8], degrees=True).as_matrix().T


def planted(views: int = 12, noise: float = 0.02, shift: float = 0.0, seed: int = 0) -> Planted:
    """A series about y with noise as a part of an atom's peak, and shifts of the views (Å)."""
    rng = np.random.default_rng(seed)
    positions = particle() + rng.normal(0, 0.04, (43, 3))
    directions = Views.from_tilts(np.linspace(-70, 70, views), "y", SHAPE)
    shifts = rng.normal(0, shift, (views, 2))
    gains = rng.normal(1, 0.05, views)
    atoms = Gaussians(positions, np.tile(U * np.eye(3), (43, 1, 1)), np.full(43, AMPLITUDE))
    shifted = Views(directions.rotations, directions.centres + shifts / PIXEL)
    drawn = projected(atoms, shifted, np.zeros(3), SHAPE, PIXEL)
    images = np.stack([gain * image for gain, image in zip(gains, drawn, strict=True)])
    images += 0.03 + noise * AMPLITUDE / (2 * np.pi * U) * rng.normal(size=images.shape)
    return Planted(images.astype(np.float32), directions, positions, shifts, gains)
