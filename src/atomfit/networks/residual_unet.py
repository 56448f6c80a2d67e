"""An HRTEM image in, where columns are, how high they are and what the defocus is out: a residual U-Net.

Pixels are gathered two by two into channels, and then halved twice more, so that it has a stride of eight:
an image shifted by eight pixels gives outputs shifted by eight. Blocks are residual and normalise each
place by itself, so that a tile of an image gives what the image does, away from its edges. What is known of
the whole image (dose, conditions) scales and shifts the channels of each block (FiLM, Perez et al. 2018); a
condition that is not known is zero, and a flag says so. At the end channels are spread over pixels again.

It knows nothing of crystals: what it has learned is in its weights (`weights`).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

#: Conditions that may be known, and by what they are divided: defocus (nm), C3 (µm), focal spread (nm).
CONDITIONS = {"defocus": 10.0, "c3": 10.0, "focal_spread": 5.0}
#: Nanometres of a unit of the network's defocus.
DEFOCUS_UNIT = 5.0
_FEATURES = 1 + 2 * len(CONDITIONS)


@dataclass(frozen=True)
class Architecture:
    """How large a network is.

    **Fields:**

    - `widths`: channels at a half, a quarter and an eighth of the resolution.
    - `blocks`: residual blocks at each, on the way down; one less on the way up.
    - `most`: the greatest height that it tells.
    """

    widths: tuple[int, int, int] = (24, 48, 96)
    blocks: tuple[int, int, int] = (2, 2, 3)
    most: int = 10


class Convolution(eqx.Module):
    """A convolution of images with channels last, padded with zeros."""

    weight: Float[Array, "size size before after"]
    bias: Float[Array, " after"]
    stride: int = eqx.field(static=True)

    def __init__(
        self, size: int, before: int, after: int, key: PRNGKeyArray, stride: int = 1, scale: float = 1.0
    ) -> None:
        bound = scale * math.sqrt(2 / (size * size * before))
        self.weight = bound * jax.random.normal(key, (size, size, before, after), jnp.float32)
        self.bias = jnp.zeros(after, jnp.float32)
        self.stride = stride

    def __call__(self, x: Float[Array, "rows columns before"]) -> Float[Array, "_ _ after"]:
        # A kernel of two with a stride of two needs no padding.
        padding = "SAME" if self.stride == 1 else "VALID"
        strides = (self.stride, self.stride)
        layout = ("NHWC", "HWIO", "NHWC")
        return (
            lax.conv_general_dilated(x[None], self.weight, strides, padding, dimension_numbers=layout)[0]
            + self.bias
        )


class Block(eqx.Module):
    """Two convolutions beside a short cut, scaled and shifted by what is known of the image."""

    first: Convolution
    second: Convolution
    film: eqx.nn.Linear

    def __init__(self, width: int, features: int, key: PRNGKeyArray) -> None:
        one, two, three = jax.random.split(key, 3)
        self.first = Convolution(3, width, width, one)
        self.second = Convolution(3, width, width, two, scale=0.1)
        film = eqx.nn.Linear(features, 2 * width, key=three)
        self.film = eqx.tree_at(lambda f: f.weight, film, 0.5 * film.weight)

    def __call__(
        self, x: Float[Array, "rows columns width"], known: Float[Array, " features"]
    ) -> Float[Array, "rows columns width"]:
        scale, shift = jnp.split(self.film(known), 2)
        inner = normalised(x) * (1 + scale) + shift
        return x + self.second(jax.nn.silu(self.first(jax.nn.silu(inner))))


class Seen(eqx.Module):
    """What a network makes of one image.

    **Fields:**

    - `presence`: logit that a column's centre is near, of each pixel.
    - `heights`: logits of 0, 1, ... atoms, of each pixel; they mean something at columns only.
    - `defocus`: in nm.
    - `defocus_spread`: its standard deviation (nm).
    """

    presence: Float[Array, "rows columns"]
    heights: Float[Array, "rows columns levels"]
    defocus: Float[Array, ""]
    defocus_spread: Float[Array, ""]


class ResidualUNet(eqx.Module):
    """The network; call it with one image whose edges are multiples of `STRIDE`.

    **Fields:**

    - `known`: what is made of dose and conditions.
    - `entry`: of four pixels to channels.
    - `down`, `reduce`: blocks of each resolution, and from each to the next coarser one.
    - `widen`, `up`: from each to the next finer one, and blocks there.
    - `present`, `before_heights`, `heights`, `defocus`: what is told at the end.
    - `architecture`: how large it is.

    **Arguments:**

    - `architecture`: as above.
    - `key`: of its first weights.
    """

    known: eqx.nn.MLP
    entry: Convolution
    down: list[list[Block]]
    reduce: list[Convolution]
    widen: list[Convolution]
    up: list[list[Block]]
    present: Convolution
    before_heights: Convolution
    heights: Convolution
    defocus: eqx.nn.MLP
    architecture: Architecture = eqx.field(static=True)

    def __init__(self, architecture: Architecture, key: PRNGKeyArray) -> None:
        widths, features = architecture.widths, 32
        keys = iter(jax.random.split(key, 64))
        self.architecture = architecture
        self.known = eqx.nn.MLP(_FEATURES, features, 32, 1, jax.nn.silu, jax.nn.silu, key=next(keys))
        self.entry = Convolution(3, 4, widths[0], next(keys))
        self.down = [
            [Block(width, features, next(keys)) for _ in range(count)]
            for width, count in zip(widths, architecture.blocks, strict=True)
        ]
        pairs = list(pairwise(widths))
        self.reduce = [Convolution(2, fine, coarse, next(keys), stride=2) for fine, coarse in pairs]
        self.widen = [Convolution(1, coarse, 4 * fine, next(keys), scale=0.5) for fine, coarse in pairs]
        self.up = [
            [Block(width, features, next(keys)) for _ in range(max(count - 1, 1))]
            for width, count in zip(widths[:-1], architecture.blocks[:-1], strict=True)
        ]
        levels = architecture.most + 1
        self.present = Convolution(1, widths[0], 4, next(keys), scale=0.1)
        self.before_heights = Convolution(1, widths[0], 2 * widths[0], next(keys))
        self.heights = Convolution(1, 2 * widths[0], 4 * levels, next(keys), scale=0.1)
        self.defocus = eqx.nn.MLP(2 * widths[-1], 2, 48, 1, jax.nn.silu, key=next(keys))

    def __call__(self, image: Float[Array, "rows columns"], features: Float[Array, " features"]) -> Seen:
        """What it sees.

        **Arguments:**

        - `image`: electrons of each pixel over their mean; edges are multiples of `STRIDE`.
        - `features`: from `known_features`.
        """
        known = self.known(features)
        x = self.entry(gathered((image - 1)[:, :, None] * 2))
        skipped = []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                x = block(x, known)
            if level < len(self.reduce):
                skipped.append(x)
                x = self.reduce[level](x)
        pooled = jnp.concatenate([x.mean((0, 1)), jax.nn.silu(x).mean((0, 1))])
        middle, log_spread = self.defocus(pooled)
        for level in reversed(range(len(self.up))):
            x = skipped[level] + spread_out(self.widen[level](x))
            for block in self.up[level]:
                x = block(x, known)
        x = jax.nn.silu(normalised(x))
        levels = self.heights(jax.nn.silu(self.before_heights(x)))
        return Seen(
            spread_out(self.present(x))[:, :, 0],
            spread_out(levels),
            DEFOCUS_UNIT * middle,
            DEFOCUS_UNIT * jnp.exp(jnp.clip(log_spread, -4, 3)),
        )


#: Pixels that a shift must be a multiple of, to shift what comes out.
STRIDE = 8


def known_features(dose: float, conditions: dict[str, float] | None = None) -> Float[np.ndarray, " f"]:
    """What is known of an image as the network takes it.

    **Arguments:**

    - `dose`: electrons per Å².
    - `conditions`: those that are known, of `CONDITIONS` and in their units.
    """
    given = conditions or {}
    found = [math.log10(max(dose, 1e-3)) - 3]
    for name, unit in CONDITIONS.items():
        found += [given[name] / unit, 1.0] if name in given else [0.0, 0.0]
    return np.array(found, np.float32)


def gathered(x: Float[Array, "rows columns c"]) -> Float[Array, "half_rows half_columns four_c"]:
    """Each two by two pixels as channels of one.

    **Arguments:**

    - `x`: an image with even edges.
    """
    rows, columns, c = x.shape
    x = x.reshape(rows // 2, 2, columns // 2, 2, c).transpose(0, 2, 1, 3, 4)
    return x.reshape(rows // 2, columns // 2, 4 * c)


def spread_out(x: Float[Array, "rows columns four_c"]) -> Float[Array, "twice_rows twice_columns c"]:
    """What `gathered` has gathered, or four channels of one pixel as one channel of two by two.

    **Arguments:**

    - `x`: an image with channels of a multiple of four.
    """
    rows, columns, c = x.shape
    x = x.reshape(rows, columns, 2, 2, c // 4).transpose(0, 2, 1, 3, 4)
    return x.reshape(2 * rows, 2 * columns, c // 4)


def normalised(x: Float[Array, "rows columns c"]) -> Float[Array, "rows columns c"]:
    """Channels of each place over their root mean square where that is large: weak ones stay weak.

    **Arguments:**

    - `x`: an image with channels.
    """
    return x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1.0)
