"""Particles whose truth is known, to try atomfit on and to measure it by.

`simulate` makes a map and `simulate_series` images of it, `simulate_image` an image of atomic columns and
`simulate_hrtem` one that a wave makes; the parts are there as well. It imports `atomfit.files` and what
lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.simulation.changes import Change as Change
    from atomfit.simulation.changes import changed as changed
    from atomfit.simulation.disturbances import noise as noise
    from atomfit.simulation.disturbances import without_wedge as without_wedge
    from atomfit.simulation.dynamics import Trajectory as Trajectory
    from atomfit.simulation.dynamics import molecular_dynamics as molecular_dynamics
    from atomfit.simulation.hrtem import HrtemOptions as HrtemOptions
    from atomfit.simulation.hrtem import SimulatedHrtem as SimulatedHrtem
    from atomfit.simulation.hrtem import simulate_hrtem as simulate_hrtem
    from atomfit.simulation.hrtem_specimens import HrtemColumns as HrtemColumns
    from atomfit.simulation.hrtem_specimens import HrtemSpecimen as HrtemSpecimen
    from atomfit.simulation.image_columns import ProjectedColumns as ProjectedColumns
    from atomfit.simulation.images import ImageOptions as ImageOptions
    from atomfit.simulation.images import SimulatedImage as SimulatedImage
    from atomfit.simulation.images import simulate_image as simulate_image
    from atomfit.simulation.maps import Simulation as Simulation
    from atomfit.simulation.maps import SimulationOptions as SimulationOptions
    from atomfit.simulation.maps import simulate as simulate
    from atomfit.simulation.particles import orientation as orientation
    from atomfit.simulation.particles import particle as particle
    from atomfit.simulation.particles import rotated as rotated
    from atomfit.simulation.series import SeriesOptions as SeriesOptions
    from atomfit.simulation.series import SimulatedSeries as SimulatedSeries
    from atomfit.simulation.series import simulate_series as simulate_series
else:
    export(
        __name__,
        {
            "maps": ["Simulation", "SimulationOptions", "simulate"],
            "series": ["SeriesOptions", "SimulatedSeries", "simulate_series"],
            "images": ["ImageOptions", "SimulatedImage", "simulate_image"],
            "image_columns": ["ProjectedColumns"],
            "hrtem": ["HrtemOptions", "SimulatedHrtem", "simulate_hrtem"],
            "hrtem_specimens": ["HrtemColumns", "HrtemSpecimen"],
            "particles": ["particle", "rotated", "orientation"],
            "disturbances": ["noise", "without_wedge"],
            "changes": ["Change", "changed"],
            "dynamics": ["Trajectory", "molecular_dynamics"],
        },
    )
