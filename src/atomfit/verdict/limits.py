"""Where figures stop being good: the limits that verdicts are made with, and what they rest on.

Each is chosen between what right inputs show and what wrong ones do, on one set of seeds, and reported on
another: `experiments/verdict` has the table. Lengths are relative to the element's.
"""

#: Mean distance of the first shell in that of the bulk. Clusters contract, and noise brings atoms together.
BONDS_DOUBTFUL = (0.90, 1.10)
BONDS_BAD = (0.85, 1.15)
#: Pearson's correlation of model and map around the atoms, of model and images.
CORRELATION_DOUBTFUL, CORRELATION_BAD = 0.5, 0.25
#: Part of the atoms that went to the limit of their move or width.
AT_BOUND_DOUBTFUL, AT_BOUND_BAD = 0.1, 0.5
#: Part of the atoms that were taken away again.
REMOVED_DOUBTFUL, REMOVED_BAD = 0.5, 0.9
#: Median standard uncertainty of positions in distances between neighbours.
UNCERTAIN_DOUBTFUL, UNCERTAIN_BAD = 0.1, 0.25
#: Resolution in distances between neighbours.
RESOLUTION_DOUBTFUL, RESOLUTION_BAD = 0.9, 1.1
