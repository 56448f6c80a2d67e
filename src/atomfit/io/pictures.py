"""Pictures without a drawing library: grey levels as PNG, and marks over them as SVG.

A picture of an image with atoms marked on it has to be at hand wherever a fit runs, so that a wrong
tilt convention is seen at once; matplotlib is an extra. PNG is a header, deflated rows and checksums.
"""

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

#: Edge of a panel, space around it, and height of the words above it (px).
_EDGE, _SPACE, _WORDS = 420, 16, 36


@dataclass(frozen=True, eq=False)
class Panel:
    """An image with marks.

    **Fields:**

    - `title`: what is said above.
    - `image`: grey levels, rows downwards.
    - `rings`, `dots`: pixels (u, v) that are marked with rings and with dots.
    """

    title: str
    image: Float[np.ndarray, "rows columns"]
    rings: Float[np.ndarray, "n 2"]
    dots: Float[np.ndarray, "m 2"]


def png(levels: UInt8[np.ndarray, "rows columns"]) -> bytes:
    """Grey levels as the bytes of a PNG file."""
    rows, columns = levels.shape
    # Each row begins with the number of its filter; 0 is none.
    raw = np.concatenate([np.zeros((rows, 1), np.uint8), levels], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def grey(image: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns"]:
    """Square roots of values as grey levels, from the darkest hundredth to the brightest thousandth."""
    finite = image[np.isfinite(image)]
    low, high = np.quantile(finite, [0.01, 0.999]) if len(finite) else (0.0, 1.0)
    scaled = (np.nan_to_num(image, nan=low) - low) / max(float(high - low), 1e-30)
    return np.rint(255 * np.sqrt(np.clip(scaled, 0, 1))).astype(np.uint8)


def write_panels(path: Path, rows: Sequence[Sequence[Panel]], legend: str) -> None:
    """Write rows of images with marks as one SVG file, which any browser opens."""
    width = max(len(row) for row in rows) * (_EDGE + _SPACE) + _SPACE
    parts: list[str] = []
    top = 0.0
    for row in rows:
        for k, panel in enumerate(row):
            parts += _panel(panel, _SPACE + k * (_EDGE + _SPACE), top)
        top += _WORDS + max(_height(panel) for panel in row)
    height = round(top + _WORDS)
    begin = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    end = [f'<text x="{_SPACE}" y="{height - _SPACE}">{escape(legend)}</text>', "</svg>"]
    path.write_text("\n".join(begin + parts + end) + "\n", encoding="utf-8")


def _height(panel: Panel) -> float:
    return _EDGE * panel.image.shape[0] / panel.image.shape[1]


def _panel(panel: Panel, left: float, top: float) -> list[str]:
    scale, height = _EDGE / panel.image.shape[1], _height(panel)
    data = base64.b64encode(png(grey(panel.image))).decode("ascii")
    radius = max(1.5, min(6.0, scale))

    def circles(places: Float[np.ndarray, "n 2"], style: str, size: float) -> list[str]:
        # A pixel's number is that of its middle.
        middles = (places + 0.5) * scale
        return [f'<circle cx="{u:.2f}" cy="{v:.2f}" r="{size:.2f}" {style}/>' for u, v in middles.tolist()]

    return [
        f'<text x="{left}" y="{top + _WORDS - 10:.2f}">{escape(panel.title)}</text>',
        f'<svg x="{left}" y="{top + _WORDS:.2f}" width="{_EDGE}" height="{height:.2f}">',
        f'<image width="{_EDGE}" height="{height:.2f}" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>',
        *circles(panel.rings, 'fill="none" stroke="#ffb000" stroke-width="0.8"', radius),
        *circles(panel.dots, 'fill="#ff5a5f"', 0.35 * radius),
        "</svg>",
    ]
