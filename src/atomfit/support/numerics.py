"""JAX as this package needs it, whatever the program around it or the environment has set.

The fits are written for 32-bit numbers, and for JAX's own rules of promotion and compilation. Switches of
JAX are global: JAX_ENABLE_X64=1, which another part of a notebook may need, would have some arrays of a fit
be of 64 bits and others not. So what computes runs `own_numerics()`, within which they are what they are by
default; outside of it nothing is changed.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from atomfit.support.errors import InputError

#: What says which devices JAX is to use, the strongest first.
_PLATFORM_VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")

#: Parts of one's own may mix integers and floats as JAX allows it; the tests of ours may not ("strict").
PROMOTION = "standard"


@contextmanager
def own_numerics() -> Iterator[None]:
    """A context, or a decorator, in which JAX has the switches that the fits are written for.

    **Raises:** `InputError` if JAX finds no device to compute on, naming what asked for it.
    """
    import jax

    _require_device(jax)
    with ExitStack() as switches:
        for switch in (
            jax.enable_x64(False),
            jax.disable_jit(False),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.numpy_dtype_promotion(PROMOTION),
            jax.numpy_rank_promotion("allow"),
            jax.transfer_guard("allow"),
        ):
            switches.enter_context(switch)
        yield


def _require_device(jax: Any) -> None:
    try:
        jax.devices()
    # Backends fail in ways of their own: RuntimeError, AssertionError, errors of a driver's library.
    except Exception as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        for name in _PLATFORM_VARIABLES:
            wanted = os.environ.get(name) or getattr(jax.config, name.lower(), None)
            if wanted and wanted != "cpu":  # which is always there
                raise InputError(
                    f"JAX has no such device as {wanted!r} here ({told})",
                    f"unset {name}, or say {name}=cpu",
                    name,
                ) from None
        raise InputError(
            f"JAX finds nothing to compute on ({told})", "say JAX_PLATFORMS=cpu", "JAX"
        ) from None
