"""Draws the grid of samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

MAX_TILES = 24

_TILES_IN_A_ROW = 6
_TILE = 128
_CAPTION = 44
_GAP = 12
_HEADER = 56

_BACKGROUND = "#ffffff"
_INK = "#1f2933"
_QUIET = "#66727f"
_RIGHT = "#147d64"
_WRONG = "#ba2525"
_NOT_FINITE = (255, 0, 255)

Pixels = NDArray[np.float32]
"""An image (C, H, W) with any number of channels and any values."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of a sample: what it is, and the values that are drawn black and white.

    Without a range, its own smallest and largest finite values are.
    """

    pixels: Pixels
    name: str = ""
    value_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Images that belong together, with a caption of two lines and, if known, a verdict.

    A classification has one tile; an image-to-image task has input, target and prediction.
    """

    tiles: tuple[Tile, ...]
    caption: tuple[str, str]
    correct: bool | None = None


def draw_grid(samples: list[Sample], title: str) -> Image.Image:
    """Lay out the samples in rows, framed in green if right and in red if wrong."""
    tiles = len(samples[0].tiles)
    columns = min(max(1, _TILES_IN_A_ROW // tiles), len(samples))
    rows = -(-len(samples) // columns)
    sample_width = tiles * (_TILE + _GAP)
    sample_height = _TILE + _CAPTION + _GAP
    size = (max(columns * tiles, 3) * (_TILE + _GAP) + _GAP, _HEADER + rows * sample_height)
    image = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((_GAP, 16), title, fill=_INK, font=ImageFont.load_default(24))
    judged = [sample for sample in samples if sample.correct is not None]
    if judged:
        summary = f"{sum(bool(sample.correct) for sample in judged)} of {len(judged)} correct"
        font = ImageFont.load_default(17)
        draw.text((size[0] - _GAP, 22), summary, fill=_QUIET, font=font, anchor="ra")
    for index, sample in enumerate(samples):
        row, column = divmod(index, columns)
        at = (_GAP + column * sample_width, _HEADER + row * sample_height)
        _draw_sample(image, draw, sample, at)
    return image


def _draw_sample(
    image: Image.Image, draw: ImageDraw.ImageDraw, sample: Sample, at: tuple[int, int]
) -> None:
    left, top = at
    color = {True: _RIGHT, False: _WRONG, None: _QUIET}[sample.correct]
    small = ImageFont.load_default(13)
    for number, tile in enumerate(sample.tiles):
        x = left + number * (_TILE + _GAP)
        draw.rectangle((x - 2, top - 2, x + _TILE + 1, top + _TILE + 1), outline=color, width=2)
        drawn = _to_image(tile)
        image.paste(drawn, (x + (_TILE - drawn.width) // 2, top + (_TILE - drawn.height) // 2))
        if tile.name:
            draw.text((x + _TILE, top + _TILE + 5), tile.name, _QUIET, small, anchor="ra")
    first, second = sample.caption
    draw.text((left, top + _TILE + 5), first, fill=color, font=ImageFont.load_default(16))
    draw.text((left, top + _TILE + 24), second, fill=_QUIET, font=small)


def _to_image(tile: Tile) -> Image.Image:
    """Stretch finite values to 0…255, mark the others in magenta, scale to a tile."""
    pixels = tile.pixels
    finite = np.isfinite(pixels)
    visible = np.where(finite, pixels, pixels[finite].min() if finite.any() else 0)
    low, high = tile.value_range or (visible.min(), visible.max())
    span = high - low if high > low else 1.0
    scaled = ((visible - low) / span * 255).clip(0, 255).astype(np.uint8)
    rgb = scaled[:3] if scaled.shape[0] >= 3 else np.repeat(scaled[:1], 3, axis=0)
    rgb = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    rgb[~finite.all(axis=0)] = _NOT_FINITE
    height, width = rgb.shape[:2]
    scale = _TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return Image.fromarray(rgb).resize(size, method)
