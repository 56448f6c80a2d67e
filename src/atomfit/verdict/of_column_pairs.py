"""What speaks against pairs of columns that a common factor of error bars does not tell.

Error bars may be right for most columns and too small for some, a part of the particle may have slipped,
two images may have been read at different scales, and counts may contradict the brightness that they
follow from. Each makes changes that are none, with error bars that look right on the whole.
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2, kstest, spearmanr

from atomfit.statistics.column_changes import ColumnComparison
from atomfit.statistics.image_columns_seen import shown_box
from atomfit.statistics.registration import mahalanobis
from atomfit.statistics.slips import find_slip
from atomfit.verdict.findings import Finding
from atomfit.verdict.limits import LIMITS


def pair_findings(c: ColumnComparison) -> list[Finding]:
    """All of them.

    **Arguments:**

    - `c`: the comparison.
    """
    slipped = _slip(c)
    return [*_widths(c), *_extent(c), *_counts(c), *slipped, *([] if slipped else _tails(c))]


def _tails(c: ColumnComparison) -> list[Finding]:
    """Whether columns that did not change scatter as error bars say, all of them alike."""
    paired = c.paired
    changed = (c.moved | c.changed)[paired.first]
    sizes = np.trace(paired.covariances, axis1=1, axis2=2)
    told = []
    for what, squares, variances, freedom in (
        ("displacements", mahalanobis(paired.displacements, paired.covariances), sizes, 2),
        (
            "differences of cross-sections",
            (paired.differences / paired.difference_esds) ** 2,
            paired.difference_esds**2,
            1,
        ),
    ):
        uneven = truncated_fit(squares[~changed], freedom), more_where_small(squares, variances)
        if min(uneven) < LIMITS.one_factor:
            told.append(what)
    if not told:
        return []
    return [
        Finding(
            "uneven-errors",
            "doubtful",
            f"{' and '.join(told)} do not scatter as error bars say, but more where these are small, or "
            "unevenly: those of some columns may be too small, or many changed by less than is significant",
            "do not trust changes that are few standard uncertainties large; compare two images of which "
            "it is known that nothing changed",
        )
    ]


def more_where_small(squares: Float[np.ndarray, " n"], variances: Float[np.ndarray, " n"]) -> float:
    """Probability that chi-squares are by chance so much larger where error bars are smaller; one of few.

    **Arguments:**

    - `squares`: of all pairs; NaN where not known.
    - `variances`: of what they are of.
    """
    known = np.isfinite(squares) & np.isfinite(variances)
    if known.sum() < LIMITS.uneven_columns:
        return 1.0
    # Error bars that are all alike have no order, nor have differences of copies.
    if np.ptp(variances[known]) < 1e-6 * variances[known].max() or not np.ptp(squares[known]) > 0:
        return 1.0
    return float(spearmanr(squares[known], variances[known], alternative="less").pvalue)


def truncated_fit(squares: Float[np.ndarray, " n"], freedom: int) -> float:
    """Probability of chi-squares that are as uneven, if they are cut off at the largest; one of few.

    **Arguments:**

    - `squares`: of columns that were not called changed; NaN where not known.
    - `freedom`: their degrees.
    """
    known = squares[np.isfinite(squares)]
    if len(known) < LIMITS.uneven_columns:
        return 1.0
    # A common factor is judged elsewhere.
    known = known / max(float(np.median(known)) / float(chi2.ppf(0.5, freedom)), 1e-12)
    end = float(chi2.cdf(known.max(), freedom))
    if not end > 0:
        # Copies do not differ at all.
        return 1.0
    return float(kstest(chi2.cdf(known, freedom) / end, "uniform").pvalue)


def _slip(c: ColumnComparison) -> list[Finding]:
    first, covariances = c.paired.first, c.paired.covariances
    variances = 0.5 * np.trace(covariances, axis1=1, axis2=2)
    found = find_slip(c.a.positions[first], c.paired.displacements, variances)
    if found is None or found.by_chance > LIMITS.one_factor or found.explained < LIMITS.slip_explains:
        return []
    size = float(np.linalg.norm(found.shift))
    return [
        Finding(
            "slip",
            "doubtful",
            f"a part of {found.beyond} columns lies shifted by {size:.2f} ± {found.esd:.2f} Å against the "
            "rest, along one line",
            "a part of the particle slipped, or a scan jumped; the map takes some of it for a shear, and "
            "columns beside the line may be called moved: compare the parts by themselves",
        )
    ]


def _widths(c: ColumnComparison) -> list[Finding]:
    widths = [float(np.median(one.widths[one.widths > 0])) for one in (c.a, c.b) if (one.widths > 0).any()]
    if len(widths) < 2 or max(widths) < LIMITS.width_unlike * min(widths):
        return []
    return [
        Finding(
            "widths",
            "doubtful",
            f"columns are {widths[0]:.2f} Å wide in {c.a.name} and {widths[1]:.2f} Å in {c.b.name}",
            "one image was read at another scale, or is out of focus: look at its report, and find its "
            "columns again (atomfit columns)",
        )
    ]


def _extent(c: ColumnComparison) -> list[Finding]:
    guessed = [image.name for image in (c.a, c.b) if image.corners is None and shown_box(image) is not None]
    if not guessed or not c.count("outside"):
        return []
    return [
        Finding(
            "extent",
            "doubtful",
            f"columns of {' and '.join(guessed)} fill a rectangle, which is taken for the image's extent: "
            f"{c.count('outside')} columns are called outside",
            "give directories of atomfit columns, which know the extent (summary.json)",
        )
    ]


def _counts(c: ColumnComparison) -> list[Finding]:
    """Whether counts of both images differ as cross-sections do."""
    if c.atoms is None:
        return []
    means = [image.expected_atoms()[0] for image in (c.a, c.b)]
    off = means[1][c.paired.second] - means[0][c.paired.first] - c.atoms.expected
    off = off[np.isfinite(off)]
    if len(off) < LIMITS.uneven_columns or abs(np.median(off)) < LIMITS.counts_apart:
        return []
    return [
        Finding(
            "counts",
            "doubtful",
            f"counts of {c.b.name} are {np.median(off):+.1f} atoms beside those of {c.a.name} where "
            "cross-sections are the same",
            "one of both was counted with another scale: count both with one library; changes of counts "
            "here follow from cross-sections and the law of A",
        )
    ]
