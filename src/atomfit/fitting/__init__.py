"""All atoms of a map fitted together: model, noise, priors, solvers, and covariances of what was found."""
