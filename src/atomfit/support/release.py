"""Which atomfit this is, as its installation says."""

from importlib.metadata import version

__version__ = version("atomfit")
