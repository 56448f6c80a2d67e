"""What any program needs: errors, arrays, memory, signals, units.

It imports nothing of atomfit. For others there is the error that every refusal is, and the conversions of
displacements; the rest is atomfit's own.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.support.errors import Doubt as Doubt
    from atomfit.support.errors import InputError as InputError
    from atomfit.support.units import b_from_u as b_from_u
    from atomfit.support.units import fwhm_from_u as fwhm_from_u
    from atomfit.support.units import u_from_b as u_from_b
else:
    export(
        __name__,
        {
            "errors": ["InputError", "Doubt"],
            "units": ["u_from_b", "b_from_u", "fwhm_from_u"],
        },
    )
