"""Where the search for atoms in a tilt series says yes or no: its thresholds, in one place.

Lengths are in neighbour distances, amplitudes in that of a typical atom, scores in an atom's.
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class SearchLimits:
    """Thresholds of the search in images.

    **Fields:**

    - `few_changes`, `unsure`: fewer changes than this part of all atoms are left to trials of single atoms,
        of those that stand out by less than this part of what an atom does.
    - `none_below`, `two_above`: below the first amplitude an atom is none, above the second it is two.
    - `left_out_below`, `tried_as_two_above`: below the first amplitude an atom is left out once, above the
        second it is two once.
    - `at_a_time`: of such atoms nearer to each other than this, one at a time.
    - `trial`, `least_trial`: a score that is enough for a trial, or less, but not than the other, if noise
        makes less.
    - `trials`: how many are tried at once, as a part of all.
    - `close`: two atoms nearer than this are one; places so near to one are no candidates. Real ones are
        farther apart (`detection.limits`), but it is the images that decide.
    - `apart`: half the distance of two atoms that were taken for one.
    - `margin`: atoms are looked for so far beyond those that there are.
    - `same_place`: places nearer than this to one that was tried in vain are the same.
    - `few_atoms`: a few atoms, as a part of all.
    - `beside`: neighbours of an atom, and theirs, are within this.
    - `astray`: chi-square for each atom by which fits of the same atoms may differ.
    - `sampled_beyond`: standard uncertainties, in widths of an atom, beyond which they are sampled: then
        some 2 % too small.
    - `heavy_hollows`: hollows of noise have a scale of one, which twenty of them tell to 0.08; above this
        their tail is not that of noise.
    - `surroundings_same`: atoms of the surroundings nearer than this to one of the start are taken to be
        it.
    - `price`: what each number more must lower chi-square by to be worth it (Akaike 1974).
    - `centres_alike`: correlations that differ by less do not tell two centres of rotation apart.
    """

    few_changes: float = 0.01
    unsure: float = 0.85
    none_below: float = 0.5
    two_above: float = 1.5
    left_out_below: float = 0.75
    tried_as_two_above: float = 1.25
    at_a_time: float = 1.5
    trial: float = 0.35
    least_trial: float = 0.1
    trials: float = 0.1
    close: float = 0.45
    apart: float = 0.32
    margin: float = 1.2
    same_place: float = 0.25
    few_atoms: float = 0.05
    beside: float = 2.2
    astray: float = 3.0
    sampled_beyond: float = 0.1
    heavy_hollows: float = 1.25
    surroundings_same: float = 0.5
    price: float = 2.0
    centres_alike: float = 1e-3


LIMITS = SearchLimits()
