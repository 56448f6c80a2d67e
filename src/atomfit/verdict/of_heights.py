"""What is to be thought of heights of columns: judged by how sure they are, and by what a model leaves.

Probabilities that are honest say themselves where an image tells little. What they cannot say is whether
the image is one of such a crystal, made by such electrons and read with the right pixel size and gain.
"""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.column_heights.found import Heights
from atomfit.column_heights.gain import FoundGain
from atomfit.structure.crystals import ZoneColumns
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.limits import LIMITS, level_above, level_outside, part

#: Neighbours are at one distance if they differ by less, and a column has all of them if the last is not
#: farther than so many times the first; that has to be this part of the columns at least.
_ALIKE, _WHOLE, _SURROUNDED = 0.05, 1.4, 0.1
#: So many conditions are named that are unlikely together.
_FARTHEST = 3
#: Conditions that may be anything in an image, by the beginning of their names.
_OF_ONE_IMAGE = ("defocus", "a1_", "b2_", "a2_", "mistilt_")


def judge_heights(
    found: Heights,
    modelled: bool,
    crystal: ZoneColumns,
    element: str,
    gain: FoundGain,
    held: float,
    better: tuple[float, float] | None = None,
) -> Verdict:
    """A verdict on heights.

    **Arguments:**

    - `found`: the columns.
    - `modelled`: whether they are those of a model of the image, or of a network alone.
    - `crystal`, `element`: its columns, and whose atoms are counted.
    - `gain`: counts of an electron.
    - `held`: what a credible set holds.
    - `better`: the defocus (nm) that tells most at this dose, and the part of the heights that an ideal
        observer tells exactly there; None if nobody asked.
    """
    if not np.any(found.heights):
        none = Finding(
            "no-columns",
            "bad",
            "no column found: nothing in the image looks like one of this crystal along this direction",
            "look at the pixel size (--pixel-size), at the zone axis (--zone), and whether the image has "
            "raw counts; average frames (--frame mean) if there are several",
        )
        return Verdict.of([none], {"dose": found.dose})
    size = float(found.sets(held).sum(axis=1).mean())
    apart, apart_esd = _spacing(found.positions, crystal, element)
    focus = next((one.value for one in found.conditions if one.name == "defocus"), float("nan"))
    highest = part(int(np.sum(found.heights == found.probabilities.shape[1] - 1)), len(found))
    off = part(int(np.sum(~found.on_lattice)), len(found))
    findings = [
        *_of_number(len(found)),
        *_of_gain(gain, found.dose),
        *_of_spacing(apart, apart_esd),
        *_of_information(size, found.dose, focus, held, better),
        *_of_levels(highest, found.probabilities.shape[1] - 1),
        *(_of_model(found, off) if modelled else _of_network()),
    ]
    measures = {
        "dose": found.dose,
        "set_size": size,
        "spacing": apart,
        "defocus": focus,
        "highest": highest,
        "off_lattice": off,
        "misfit": found.misfit,
        "together": found.in_common,
        "conditions": _unlikeliness(found),
        "noise_white": gain.white,
    }
    return Verdict.of(findings, measures)


def _spacing(
    positions: Float[np.ndarray, "n 2"], crystal: ZoneColumns, element: str
) -> tuple[float, float]:
    """Distance of neighbours in the crystal's, by columns that have as many, and esd; NaN of too few."""
    places, steps = crystal.places[crystal.symbols == element], np.arange(-2, 3)
    cells = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    every = (places[:, None] + cells @ crystal.lattice[:, :2]).reshape(-1, 2)
    away = np.linalg.norm(every - places[0], axis=1)
    nearest = float(away[away > 1e-3].min())
    number = int(np.sum(np.abs(away - nearest) < _ALIKE * nearest))
    if len(positions) < max(number + 1, LIMITS.columns_few):
        return float("nan"), float("nan")
    # Of few neighbours the nearest is nearer than they are on average.
    found = cKDTree(positions).query(positions, number + 1)[0][:, 1:]
    whole = found[:, -1] < _WHOLE * found[:, 0]
    told = found[whole].ravel() if whole.mean() > _SURROUNDED else found[:, 0]
    typical = float(np.median(told))
    # Of a median, by the scatter as another has it; distances of one column err together.
    esd = 1.25 * 1.4826 * float(np.median(np.abs(told - typical))) / np.sqrt(len(positions))
    return typical / nearest, esd / nearest


def _of_number(count: int) -> list[Finding]:
    """Whether there are enough columns to know the crystal by."""
    if count >= LIMITS.columns_few:
        return []
    return [
        Finding(
            "few-columns",
            "doubtful",
            f"{'1 column was' if count == 1 else f'{count} columns were'} found, too few to know the "
            "crystal by",
            "look at the pixel size (--pixel-size), the crystal and its zone axis",
        )
    ]


def _of_gain(gain: FoundGain, dose: float) -> list[Finding]:
    """Noise that is less than that of electrons, or not white, tells of another gain or dark level."""
    if gain.how == "whole" and gain.noise + 2 * gain.noise_esd < LIMITS.noise_doubtful:
        return [
            Finding(
                "dark-level",
                "doubtful",
                f"whole numbers scatter {gain.noise:.2g} times as much as so many electrons would: a dark "
                f"level may have been left in, and the dose of {dose:,.4g} electrons/Å² may be too high",
                "take off the dark level, or give the gain (--gain), counts of an electron",
            )
        ]
    if gain.how == "given" and _contradicted(gain):
        return [
            Finding(
                "gain",
                "doubtful",
                f"the gain is {gain.value:.4g} as given, and noise says {gain.noise:.3g}: the dose of "
                f"{dose:,.4g} electrons/Å² may be wrong, and with it every probability",
                "look the gain up, counts of an electron, or leave --gain out; a detector whose transfer "
                "function falls, or a dark level left in, makes noise say less than the gain is",
            )
        ]
    if gain.how == "given" or not gain.white - 2 * gain.white_esd > LIMITS.white_doubtful:
        return []
    return [
        Finding(
            "coloured-noise",
            "doubtful",
            f"noise is not white, {gain.white:.2g} times as strong before the highest spatial frequencies "
            "as there: the detector's transfer function falls, or the image was filtered, and the dose of "
            f"{dose:,.4g} electrons/Å² may be too high",
            "give the gain (--gain), counts of an electron, if it is known",
        )
    ]


def _contradicted(gain: FoundGain) -> bool:
    """Whether noise has another gain than was given; noise that is not white may be less."""
    low, high = ((gain.noise + sign * 2 * gain.noise_esd) / gain.value for sign in (1, -1))
    return high > LIMITS.gain_high or (low < LIMITS.noise_doubtful and gain.white < LIMITS.white_alike)


def _of_spacing(apart: float, esd: float) -> list[Finding]:
    """Whether columns are as far apart as the crystal's."""
    low, high = LIMITS.spacing_doubtful
    level = level_outside(apart, (low - 2 * esd, high + 2 * esd), LIMITS.bonds_bad)
    if level == "good":
        return []
    return [
        Finding(
            "column-spacing",
            level,
            f"columns are {apart:.4g} times as far apart as the crystal's",
            "look at the pixel size (--pixel-size), the crystal and its zone axis",
        )
    ]


def _of_information(
    size: float, dose: float, focus: float, held: float, better: tuple[float, float] | None
) -> list[Finding]:
    """Where an image cannot tell heights, or models are known to be too sure."""
    found = []
    if size > LIMITS.set_doubtful:
        found.append(
            Finding(
                "vague-heights",
                "doubtful",
                f"heights are hardly told: sets that hold {held:.0%} have {size:.1f} heights on average "
                f"(at {dose:,.4g} electrons/Å²)",
                "use the probabilities, not the likeliest heights; a higher dose, or a mean of frames "
                f"(--frame mean), tells more{_focus_words(better)}",
            )
        )
    if dose < LIMITS.dose_doubtful:
        found.append(
            Finding(
                "low-dose",
                "doubtful",
                f"the dose is {dose:,.4g} electrons/Å², and probabilities are known to be right from "
                f"{LIMITS.dose_doubtful:g} on",
                "average frames (--frame mean), if there are several",
            )
        )
    if abs(focus) < LIMITS.focus_doubtful:
        found.append(
            Finding(
                "defocus-zero",
                "doubtful",
                f"the defocus is {focus:.2g} nm, and near zero heights can hardly be told",
                "take images a few nm over or under focus",
            )
        )
    return found


def _focus_words(better: tuple[float, float] | None) -> str:
    """At which focus more can be told, if that is known."""
    if better is None:
        return "; --advise finds the defocus that does"
    return (
        f"; of all defocuses {better[0]:+.3g} nm does at this dose, where {better[1]:.0%} of the heights "
        "can be told exactly"
    )


def _of_levels(highest: float, most: int) -> list[Finding]:
    """Columns may be higher than what can be told."""
    level = level_above(highest, LIMITS.highest_doubtful, LIMITS.highest_bad)
    if level == "good":
        return []
    return [
        Finding(
            "highest",
            level,
            f"{highest:.0%} of the columns have {most} atoms, the most that can be told",
            "they may have more, and if many have, lower ones and the conditions are wrong, too: look at "
            "thinner parts",
        )
    ]


def _odd_conditions(found: Heights) -> list[str]:
    """Conditions that are far from what was likely, with values; the farthest if all together are."""
    away = [
        (abs(one.value - one.prior) - 2 * one.esd) / one.prior_esd
        for one in found.conditions
        if one.prior_esd > 0
    ]
    known = [one for one in found.conditions if one.prior_esd > 0]
    odd = [k for k, widths in enumerate(away) if widths > LIMITS.condition_doubtful]
    if not odd and _unlikeliness(found) > LIMITS.conditions_doubtful:
        farthest = np.argsort(away)[::-1].tolist()
        odd = [k for k in farthest if not known[k].name.startswith(_OF_ONE_IMAGE)][:_FARTHEST]
    return [f"{known[k].name} {known[k].value:.3g} {known[k].unit}".strip() for k in odd]


def _unlikeliness(found: Heights) -> float:
    """How unlikely those are together that no image changes: the sum of ln(1 + x²/2) in widths x.

    As of Student's law with two degrees of freedom, which priors have, less its factor of 3/2. A model
    makes up for what is wrong in it (another voltage) with several of them, each a little.
    """
    away = [
        (one.value - one.prior) / one.prior_esd
        for one in found.conditions
        if one.prior_esd > 0 and not one.name.startswith(_OF_ONE_IMAGE)
    ]
    return float(np.sum(np.log1p(np.square(away) / 2)))


def _of_network() -> list[Finding]:
    """A network looks at an image, and nothing at the network."""
    return [
        Finding(
            "network-alone",
            "doubtful",
            "heights are those of a network alone: whether the image is one of such a crystal, made so, "
            "was not looked at",
            "leave --network-only out: the likelihood of the image knows more",
        )
    ]


def _of_model(found: Heights, off: float) -> list[Finding]:
    """Whether the model describes the image."""
    findings = []
    level = level_above(found.misfit, LIMITS.misfit_doubtful, LIMITS.misfit_bad)
    if level != "good":
        findings.append(
            Finding(
                "misfit",
                level,
                f"the model does not describe the image: what is left varies {found.misfit:.2g} times as "
                "much as noise does",
                "look at residual.mrc: another crystal, a second grain, a support or a tilt shows there; a "
                "gain that is too low leaves as much everywhere",
            )
        )
    odd = _odd_conditions(found)
    if odd:
        findings.append(
            Finding(
                "unlikely-conditions",
                "doubtful",
                f"the image is described with conditions that are hardly likely: {', '.join(odd)}; all "
                "heights may be off together",
                "compare conditions.csv with what is known of the microscope (--c3, --c5, --focal-spread), "
                "and look at residual.mrc",
            )
        )
    together = found.in_common
    if together > LIMITS.together_doubtful:
        findings.append(
            Finding(
                "heights-together",
                "doubtful",
                f"all heights may be off together, by some {together:.2g} atoms",
                "compare conditions.csv with what is known of the microscope; another defocus, or more "
                "electrons, may decide",
            )
        )
    if off > LIMITS.off_lattice_doubtful:
        findings.append(
            Finding(
                "off-lattice",
                "doubtful",
                f"{off:.0%} of the columns are at no site of the crystal",
                "cut out one grain, and look at the crystal and its zone axis",
            )
        )
    if not found.settled:
        findings.append(
            Finding(
                "not-settled",
                "doubtful",
                "heights still changed when the search was ended",
                "look at the columns with the widest sets",
            )
        )
    return findings
