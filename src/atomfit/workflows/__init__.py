"""The jobs, each reading top to bottom: build, tilt, compare."""
