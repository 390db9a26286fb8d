"""Draws covers and pages: a background, a motif, and words in the one typeface that Pillow brings."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 600, 900
_SCALE = 2  # drawn larger and made smaller: Pillow does not smooth the edges of shapes
_QUALITY = 88
_INK = {"light": (250, 246, 236), "dark": (34, 32, 38)}

Color = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Palette:
    """`top` and `bottom` are the ends of the background; `ink` is `light` or `dark`."""

    top: Color
    bottom: Color
    accent: Color
    ink: str = "light"


@dataclass(slots=True)
class Canvas:
    """A picture under work, in its final coordinates."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    palette: Palette

    @property
    def ink(self) -> Color:
        return _INK[self.palette.ink]

    def circle(self, x: float, y: float, radius: float, fill: Color | None = None, line: float = 0) -> None:
        """Draw a disc, or with `line` a ring of the accent colour."""
        box = _scaled((x - radius, y - radius, x + radius, y + radius))
        outline = self.palette.accent if line else None
        self.draw.ellipse(box, fill=fill, outline=outline, width=round(line * _SCALE))

    def line(self, points: Sequence[Point], width: float, color: Color | None = None) -> None:
        flat = [value for point in points for value in point]
        self.draw.line(
            _scaled(flat), fill=color or self.palette.accent, width=round(width * _SCALE), joint="curve"
        )

    def shape(self, points: Sequence[Point], color: Color) -> None:
        self.draw.polygon(_scaled([value for point in points for value in point]), fill=color)

    def bar(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        self.draw.rectangle((left * _SCALE, top * _SCALE, right * _SCALE, bottom * _SCALE), fill=color)

    def shade(self, share: float) -> Color:
        """Return a colour between the accent (0) and the bottom of the background (1)."""
        return mixed(self.palette.accent, self.palette.bottom, share)

    def text(
        self, lines: Sequence[str], y: float, size: float, color: Color | None = None, weight: float = 0
    ) -> float:
        """Write centred lines from `y` on; returns where the next one would begin."""
        font = _font(round(size * _SCALE))
        for line in lines:
            place = (WIDTH * _SCALE / 2, y * _SCALE)
            ink = color or self.ink
            self.draw.text(place, line, font=font, fill=ink, anchor="ma", stroke_width=round(weight * _SCALE))
            y += size * 1.28
        return y


Motif = Callable[[Canvas], None]


def draw_cover(title: str, author: str, palette: Palette, motif: Motif) -> bytes:
    """Return a cover as JPEG."""
    canvas = _canvas(palette)
    motif(canvas)
    size, lines = _fitting(title.upper())
    below = canvas.text(lines, 78, size, weight=size / 60)
    canvas.line([(WIDTH / 2 - 34, below + 14), (WIDTH / 2 + 34, below + 14)], 3)
    canvas.text([author], HEIGHT - 96, 30, color=_INK["light" if sum(palette.bottom) < 380 else "dark"])
    return jpeg(_finished(canvas))


def draw_page(lines: Sequence[str], palette: Palette, motif: Motif) -> Image.Image:
    """Return a page with verses at its foot."""
    canvas = _canvas(palette)
    motif(canvas)
    top = HEIGHT - 74 - 42 * len(lines)
    canvas.bar(0, top - 34, WIDTH, HEIGHT, mixed(palette.bottom, (0, 0, 0), 0.35))
    canvas.text(lines, top, 27, color=_INK["light"])
    return _finished(canvas)


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def opened(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture))


def mixed(one: Color, other: Color, share: float) -> Color:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _canvas(palette: Palette) -> Canvas:
    gradient = Image.new("RGB", (1, 256))
    for y in range(256):
        gradient.putpixel((0, y), mixed(palette.top, palette.bottom, y / 255))
    image = gradient.resize((WIDTH * _SCALE, HEIGHT * _SCALE))
    return Canvas(image, ImageDraw.Draw(image), palette)


def _finished(canvas: Canvas) -> Image.Image:
    return canvas.image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def _scaled(values: Sequence[float]) -> list[float]:
    return [value * _SCALE for value in values]


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fitting(title: str) -> tuple[float, list[str]]:
    """Return the largest size at which the title fits, and its lines."""
    for size in (66, 58, 50, 44, 38):
        lines = _wrapped(title, size, WIDTH - 110)
        if len(lines) <= (2 if size > 50 else 3) and all(_width(line, size) <= WIDTH - 110 for line in lines):
            break
    return size, lines


def _wrapped(text: str, size: int, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and _width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _width(text: str, size: int) -> float:
    return float(_font(size).getlength(text))
