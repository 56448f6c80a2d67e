"""Particles whose truth is known, to try atomfit on and to measure it by."""

from atomfit.simulation.maps import Simulation, SimulationOptions, simulate
from atomfit.simulation.series import SeriesOptions, SimulatedSeries, simulate_series

__all__ = [
    "SeriesOptions",
    "SimulatedSeries",
    "Simulation",
    "SimulationOptions",
    "simulate",
    "simulate_series",
]
