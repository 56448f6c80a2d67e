"""The same atoms against images: views, probe, forward model, refinement."""
