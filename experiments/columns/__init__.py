"""Columns of simulated and measured images: what is found, how far off, and how well that is known."""
