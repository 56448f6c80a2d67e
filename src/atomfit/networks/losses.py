"""What a network says and the truth in, how wrong it is out: of presence, of heights, and of the defocus.

Heights are judged at columns alone, which are few pixels of many: judged everywhere, a network learns that
there is none. To the cross-entropy, which knows no order, comes the ranked probability score
(Epstein 1969): the sum of squares of the errors of P(height <= k), so that being wrong by one atom costs
less than by five. The defocus has a Gaussian's likelihood, so that it comes with a spread.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def presence_loss(
    logits: Float[Array, "*shape"], target: Float[Array, "*shape"], focus: float = 0.0
) -> Float[Array, ""]:
    """Cross-entropy of whether there is a column, over all pixels.

    **Arguments:**

    - `logits`: of the network.
    - `target`: 1 at a column's centre, 0 far from it, and between them nearby.
    - `focus`: γ of the focal loss (Lin et al. 2017), which weighs by |target - probability|^γ; 0: none.
    """
    entropy = jax.nn.softplus(logits) - target * logits
    if focus:
        entropy = entropy * jnp.abs(target - jax.nn.sigmoid(logits)) ** focus
    return jnp.mean(entropy)


def height_losses(
    logits: Float[Array, "columns levels"],
    heights: Int[Array, " columns"],
    weights: Float[Array, " columns"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Cross-entropy and ranked probability score of heights, means over columns.

    **Arguments:**

    - `logits`: at the columns.
    - `heights`: true ones.
    - `weights`: of the columns; 0 for those that fill a table up.
    """
    total = jnp.maximum(weights.sum(), 1e-6)
    log_probabilities = jax.nn.log_softmax(logits)
    entropy = -jnp.take_along_axis(log_probabilities, heights[:, None], axis=1)[:, 0]
    reached = jnp.cumsum(jnp.exp(log_probabilities), axis=1)
    truly = (jnp.arange(logits.shape[1]) >= heights[:, None]).astype(reached.dtype)
    ranked = jnp.sum((reached - truly) ** 2, axis=1)
    return jnp.sum(weights * entropy) / total, jnp.sum(weights * ranked) / total


def defocus_loss(
    defocus: Float[Array, ""], spread: Float[Array, ""], truth: Float[Array, ""]
) -> Float[Array, ""]:
    """Minus the logarithm of a Gaussian's density, but for its constant.

    **Arguments:**

    - `defocus`, `spread`: of the network (nm).
    - `truth`: nm.
    """
    return 0.5 * ((defocus - truth) / spread) ** 2 + jnp.log(spread)


def sites_of(
    values: Float[Array, "rows columns levels"], sites: Int[Array, "n 2"]
) -> Float[Array, "n levels"]:
    """Values of a map at places.

    **Arguments:**

    - `values`: a map.
    - `sites`: row and column of pixels.
    """
    return values[sites[:, 0], sites[:, 1]]
