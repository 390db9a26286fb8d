"""Real images of a wanted size, as small as they get."""

from __future__ import annotations

import io

from PIL import Image

Color = str | tuple[int, int, int]


def image(kind: str, width: int, height: int, color: Color = "navy") -> bytes:
    """Return an image of Pillow's format `kind`: PNG, JPEG, WEBP, GIF or BMP among others."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


def png(width: int, height: int, color: Color = "navy") -> bytes:
    return image("PNG", width, height, color)


def jpeg(width: int, height: int, color: Color = "navy") -> bytes:
    return image("JPEG", width, height, color)
