"""An image in, counts that an electron makes out: by the noise where the image has no signal.

Electrons arrive by Poisson's law, so noise that they make has a power of gain times mean at every spatial
frequency, and lenses pass nothing to the corners of the Fourier transform of an image that is fine enough,
beyond the Nyquist frequency of rows and columns. The median of the periodogram there, over ln 2, is that
power (periodograms of noise are exponentially distributed), and a few reflections that get so far do not
move a median. The image is windowed first, as its edges would reach there too.

Whole numbers that scatter as single electrons do, or less, are electrons: none makes less than a count.
What speaks against any such gain is noise that is not white: a detector whose transfer function falls, or
interpolation, lowers it at high frequencies, and the gain that is found is then too low, the dose too high.
So the power is compared with that before the Nyquist frequency.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt

from atomfit.support.errors import InputError

#: Parts of the Nyquist frequency beyond which noise is measured, and between which it is compared.
_CORNERS, _COMPARED = 1.15, (0.85, 1.0)
#: Counts have a mean of at least so many of their standard deviations.
_LEAST_MEAN = 0.1
#: Whole numbers with a gain up to this are electrons.
_SINGLE = 1.15
#: So large a part of the pixels has whole numbers, if all that were measured have.
_WHOLE = 0.98
#: Electrons per pixel that no exposure has: then there is no noise.
_MOST_ELECTRONS = 1e6
#: Noise that is so many times as strong before the corners was filtered off there.
_FILTERED = 20.0
#: Pixels over which a window ends beside those that were not measured.
_FADING = 6.0
_GIVE = "give the gain, counts of an electron (--gain)"


@dataclass(frozen=True)
class FoundGain:
    """Counts that an electron makes, and how that is known.

    **Fields:**

    - `value`: the gain.
    - `how`: it was "given", "whole" (numbers that scatter as electrons do), or found from the "noise".
    - `noise`, `noise_esd`: as noise has it at the highest frequencies, and its standard uncertainty.
    - `white`, `white_esd`: power before these over that, 1 of white noise alone, and likewise.
    """

    value: float
    how: Literal["given", "whole", "noise"]
    noise: float
    noise_esd: float
    white: float
    white_esd: float

    def told(self) -> str:
        """How it was found, in words."""
        found = f"noise at the highest spatial frequencies says {self.noise:.3g} ± {self.noise_esd:.2g}"
        if self.how == "given":
            return f"gain: {self.value:g} counts of an electron, as given ({found})"
        if self.how == "whole":
            return f"gain: 1, the image has whole numbers that scatter as electrons do ({found})"
        words = f"{self.value:.4g} ± {self.noise_esd:.2g} counts of an electron"
        return f"gain: {words}, from noise at the highest spatial frequencies"


def find_gain(
    counts: Float[np.ndarray, "rows columns"],
    given: float | None = None,
    counted: Bool[np.ndarray, "rows columns"] | None = None,
) -> FoundGain:
    """What an electron makes.

    **Arguments:**

    - `counts`: of the image, counted from no electrons.
    - `given`: the gain, if it is known.
    - `counted`: which pixels were measured; all if not given. Noise of the others is not asked.

    **Raises:** `InputError` if these are no counts, or if no gain is given and none can be found.
    """
    mean = require_counts(counts)
    power, error, *white = _noise_power(np.asarray(counts, np.float64), counted)
    noise, noise_esd = float(power / mean), float(error / mean)
    if given is not None:
        return FoundGain(given, "given", noise, noise_esd, *white)
    # Pixels that were not measured have been filled.
    whole = float(np.mean(counts == np.rint(counts))) > _WHOLE and counts.min() >= 0
    if whole and mean / _MOST_ELECTRONS < noise <= _SINGLE + min(noise_esd, _SINGLE - 1):
        return FoundGain(1.0, "whole", noise, noise_esd, *white)
    if not noise * _MOST_ELECTRONS > mean:
        raise InputError(
            "the image has no noise at its highest frequencies, which would tell its gain", _GIVE
        )
    if white[0] > _FILTERED:
        raise InputError(
            f"noise is {white[0]:.3g} times as strong before the highest spatial frequencies as there: the "
            "image was filtered or interpolated, and does not tell its gain",
            f"give the image as it was recorded, or {_GIVE.removeprefix('give ')}",
        )
    return FoundGain(noise, "noise", noise, noise_esd, *white)


def require_counts(counts: Float[np.ndarray, "rows columns"]) -> float:
    """The mean of what may be counts of electrons.

    **Arguments:**

    - `counts`: of an image.

    **Raises:** `InputError` if they are about zero, or all the same.
    """
    mean, spread = float(counts.mean()), float(counts.std())
    if mean > _LEAST_MEAN * spread > 0:
        return mean
    raise InputError(
        f"the image's mean is {mean:.3g} and its standard deviation {spread:.3g}: these are no counts "
        "of electrons",
        "give raw counts, from which no more than the dark level was taken",
    )


def _noise_power(
    image: Float[np.ndarray, "rows columns"], counted: Bool[np.ndarray, "rows columns"] | None
) -> tuple[float, float, float, float]:
    """Variance of pixels with the power of the corners, its esd; power before them over it, and esd."""
    rows, columns = (np.hanning(n + 2)[1:-1] for n in image.shape)
    window = np.outer(rows, columns)
    if counted is not None and not counted.all():
        # It ends smoothly before what was filled.
        window *= np.clip(distance_transform_edt(counted) / _FADING, 0, 1) ** 2
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2 / np.sum(window**2)
    v, u = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None]
    # In parts of the Nyquist frequency along an axis.
    radius = 2 * np.hypot(v, u)
    parts = power[radius > _CORNERS], power[(radius > _COMPARED[0]) & (radius <= _COMPARED[1])]
    corners, before = (float(np.median(part) / np.log(2)) for part in parts)
    # Of medians of an exponential distribution; windowed frequencies that are neighbours err together.
    error, other = (float(np.sqrt(2.25 / part.size) / np.log(2)) for part in parts)
    white = before / max(corners, 1e-300)
    return corners, corners * error, white, white * float(np.hypot(error, other))
