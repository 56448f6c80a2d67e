"""Particles whose truth is known, to try atomfit on and to measure it by."""

from atomfit.simulation.maps import Simulation, SimulationOptions, simulate

__all__ = ["Simulation", "SimulationOptions", "simulate"]
