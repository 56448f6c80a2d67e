"""An acceleration voltage in, the wavelength of its electrons and how strongly atoms act on them out.

Both are relativistic. A slice's phase is `σ V`, with V its projected potential (V Å) and σ = 2π m e λ / h²;
an electron form factor f, in Å as the tables give it, is V's transform but for h² / 2π m₀ e. So the phase's
transform is `λ γ f`, and no constant but the electron's rest energy is needed.
"""

import math

#: Rest energy of an electron (keV), and Planck's constant times the speed of light (keV Å).
REST_ENERGY, _HC = 510.99895, 12.398419843


def wavelength(voltage: float) -> float:
    """Wavelength of electrons (Å), relativistic, by their acceleration voltage (kV).

    **Arguments:**

    - `voltage`: in kV.

        >>> round(wavelength(300.0), 6)
        0.019687
    """
    return _HC / math.sqrt(voltage * (2 * REST_ENERGY + voltage))


def relativistic_mass(voltage: float) -> float:
    """Mass of an electron, in rest masses: the Lorentz factor γ.

    **Arguments:**

    - `voltage`: in kV.
    """
    return 1 + voltage / REST_ENERGY


def interaction_constant(voltage: float) -> float:
    """Phase (rad) that a projected potential of 1 V Å makes: σ.

    **Arguments:**

    - `voltage`: in kV.

        >>> round(1e3 * interaction_constant(300.0), 4)
        0.6526
    """
    # σ = 2π / (λ E) (m₀c² + E) / (2 m₀c² + E), per volt.
    energy = 1e3 * voltage
    whole = (REST_ENERGY + voltage) / (2 * REST_ENERGY + voltage)
    return 2 * math.pi * whole / (wavelength(voltage) * energy)
