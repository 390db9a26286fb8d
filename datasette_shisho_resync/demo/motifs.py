"""What covers show, one function each. Angles and places are tried out by eye."""

from __future__ import annotations

import math

from .drawing import HEIGHT, WIDTH, Canvas, Point, mixed


def dial(canvas: Canvas) -> None:
    """A clock that forgot where it stands: rings, and hands that fade."""
    x, y = 300, 545
    canvas.circle(x, y, 236, mixed(canvas.palette.bottom, (0, 0, 0), 0.25))
    for radius, line in ((236, 5), (206, 2), (120, 2)):
        canvas.circle(x, y, radius, line=line)
    for hour in range(60):
        angle = math.tau * hour / 60
        inner = 178 if hour % 5 == 0 else 195
        canvas.line([_around(x, y, inner, angle), _around(x, y, 206, angle)], 5 if hour % 5 == 0 else 2)
    for step in range(9):
        canvas.line([(x, y), _around(x, y, 176, 0.35 - step * 0.16)], 7, canvas.shade(step / 10))
    canvas.line([(x, y), _around(x, y, 112, 2.2)], 9)
    canvas.circle(x, y, 15, canvas.palette.accent)


def sea(canvas: Canvas) -> None:
    """Waves over the deep, and a light far below."""
    for step in range(7):
        canvas.circle(
            300, 700, 210 - step * 30, mixed(canvas.palette.bottom, canvas.palette.accent, step / 9)
        )
    for step in range(6):
        level = 370 + step * 62
        color = mixed(canvas.palette.top, canvas.palette.bottom, 0.25 + step * 0.14)
        crest = [(x, level + 15 * math.sin(x / 52 + step * 1.7)) for x in range(0, WIDTH + 1, 6)]
        canvas.line(crest, 15 - step * 1.6, mixed(color, (255, 255, 255), 0.38 - step * 0.05))
    canvas.shape([(180, 700), (300, 668), (430, 690), (470, 705), (430, 722), (300, 738)], (16, 24, 40))
    canvas.circle(405, 705, 9, canvas.palette.accent)


def globe(canvas: Canvas) -> None:
    """Meridians, and a balloon's way around them."""
    x, y, radius = 300, 568, 208
    canvas.circle(x, y, radius, mixed(canvas.palette.bottom, canvas.palette.top, 0.35))
    for share in (1.0, 0.72, 0.38):
        ellipse = [_oval(x, y, radius * share, radius, math.tau * step / 90) for step in range(91)]
        canvas.line(ellipse, 2.5)
    for share in (-0.62, -0.32, 0.0, 0.32, 0.62):
        half = radius * math.sqrt(1 - share * share)
        canvas.line([(x - half, y + radius * share), (x + half, y + radius * share)], 2.5)
    way = [_oval(x, y - 20, 258, 110, -2.5 + step * 0.076) for step in range(44)]
    for point in way[::4]:
        canvas.circle(*point, 4.5, canvas.ink)
    canvas.circle(492, 430, 44, (206, 73, 56))
    canvas.shape([(462, 462), (522, 462), (500, 498), (484, 498)], (206, 73, 56))
    canvas.bar(483, 504, 501, 520, canvas.ink)


def feathers(canvas: Canvas) -> None:
    """Peacock feathers, in rows."""
    for row in range(9, -1, -1):
        y = 350 + row * 56
        for column in range(-1, 8):
            x = column * 92 + (46 if row % 2 else 0)
            for radius, share in ((54, 0.82), (40, 0.55), (25, 0.2)):
                canvas.circle(x, y, radius, canvas.shade(share))
            canvas.circle(x, y + 6, 11, mixed(canvas.palette.bottom, (0, 0, 0), 0.3))
    canvas.bar(0, 770, WIDTH, HEIGHT, canvas.palette.bottom)


def moor(canvas: Canvas) -> None:
    """A moon over hills, and what waits there."""
    canvas.circle(400, 430, 92, canvas.palette.accent)
    canvas.circle(372, 405, 16, mixed(canvas.palette.accent, canvas.palette.bottom, 0.12))
    canvas.circle(428, 462, 24, mixed(canvas.palette.accent, canvas.palette.bottom, 0.12))
    for step in range(5):
        base = 520 + step * 68
        ridge = [
            (x, base + 30 * math.sin(x / (118 - step * 9) + step * 2.1) + 12 * math.sin(x / 31 + step))
            for x in range(0, WIDTH + 1, 6)
        ]
        color = mixed(canvas.palette.top, (6, 9, 14), 0.25 + step * 0.18)
        canvas.shape([(0, HEIGHT), *ridge, (WIDTH, HEIGHT)], color)
    for x in (168, 192):
        canvas.circle(x, 764, 5.5, canvas.palette.accent)


def window(canvas: Canvas) -> None:
    """A lens over a town at night."""
    for column, tall in enumerate((120, 250, 170, 320, 210, 280, 140, 230)):
        left = column * 76 - 4
        color = mixed(canvas.palette.bottom, (0, 0, 0), 0.2 + 0.06 * (column % 3))
        canvas.bar(left, 790 - tall, left + 73, 790, color)
        for floor in range(tall // 46):
            for side in (14, 42):
                if (column * 7 + floor * 3 + side) % 4:
                    continue
                top = 806 - tall + floor * 46
                canvas.bar(left + side, top, left + side + 15, top + 22, canvas.shade(0.25))
    canvas.circle(300, 520, 150, mixed(canvas.palette.top, (255, 255, 255), 0.12))
    canvas.circle(300, 520, 150, line=14)
    canvas.line([_around(300, 520, 150, 2.35), _around(300, 520, 292, 2.35)], 26)
    for radius in (94, 66, 38):
        canvas.line([_around(300, 540, radius, -0.9 + step * 0.09) for step in range(21)], 8)
    canvas.line([(300, 505), (300, 590)], 8)
    canvas.bar(0, 790, WIDTH, HEIGHT, canvas.palette.bottom)


def lightning(canvas: Canvas) -> None:
    """A bolt, and the night that it splits."""
    for step in range(14):
        y = 360 + step * 36
        canvas.line([(0, y + 40), (WIDTH, y - 30)], 3, canvas.shade(0.78))
    bolt = [(352, 330), (196, 590), (290, 590), (232, 800), (424, 520), (326, 520), (420, 330)]
    canvas.shape([(x + 12, y + 12) for x, y in bolt], mixed(canvas.palette.bottom, (0, 0, 0), 0.5))
    canvas.shape(bolt, canvas.palette.accent)


def whale(canvas: Canvas) -> None:
    """A tail that goes down."""
    canvas.circle(300, 560, 190, mixed(canvas.palette.top, (255, 255, 255), 0.3))
    left = [(292, 745), (286, 640), (262, 575), (205, 520), (120, 500), (92, 455), (190, 452), (268, 490)]
    tail = [*left, (300, 530), *((WIDTH - x, y) for x, y in reversed(left))]
    canvas.shape(tail, mixed(canvas.palette.bottom, (0, 0, 0), 0.25))
    for step in range(5):
        level = 705 + step * 34
        crest = [(x, level + 9 * math.sin(x / 34 + step * 2)) for x in range(0, WIDTH + 1, 6)]
        canvas.shape(
            [(0, HEIGHT), *crest, (WIDTH, HEIGHT)],
            mixed(canvas.palette.accent, canvas.palette.bottom, step / 4),
        )


def forest(canvas: Canvas) -> None:
    """A tulgey wood with eyes of flame."""
    for step in range(4):
        for trunk in range(7):
            x = trunk * 102 - 40 + step * 37
            foot, top = 470 + step * 85, 180 + step * 65 + (trunk * 53 + step * 31) % 90
            color = mixed(canvas.palette.top, canvas.palette.bottom, 0.35 + step * 0.2)
            canvas.shape([(x - 52, foot), (x, top), (x + 52, foot)], color)
    for x in (252, 338):
        canvas.circle(x, 520, 22, canvas.palette.accent)
        canvas.circle(x + 4, 520, 8, (20, 16, 20))


def blade(canvas: Canvas) -> None:
    """A vorpal sword under a large sun."""
    canvas.circle(300, 380, 190, canvas.palette.accent)
    canvas.shape([(286, 570), (294, 190), (300, 160), (306, 190), (314, 570)], canvas.ink)
    canvas.shape(
        [(222, 570), (378, 570), (366, 592), (234, 592)], mixed(canvas.palette.bottom, (0, 0, 0), 0.3)
    )
    canvas.bar(288, 592, 312, 656, mixed(canvas.palette.bottom, (0, 0, 0), 0.3))


def boat(canvas: Canvas) -> None:
    """A pea-green boat under the stars above."""
    for star in range(40):
        x, y = (star * 137) % WIDTH, 30 + (star * 89) % 330
        canvas.circle(x, y, 1.6 + star % 3, canvas.ink)
    canvas.circle(484, 306, 46, (250, 236, 190))
    canvas.shape([(150, 510), (450, 510), (404, 584), (196, 584)], canvas.palette.accent)
    canvas.line([(300, 512), (300, 292)], 7, canvas.ink)
    canvas.shape([(310, 300), (310, 484), (436, 484)], canvas.ink)
    canvas.shape([(290, 330), (290, 484), (196, 484)], mixed(canvas.ink, canvas.palette.bottom, 0.25))
    for step in range(3):
        crest = [(x, 566 + step * 40 + 9 * math.sin(x / 36 + step * 2)) for x in range(0, WIDTH + 1, 6)]
        canvas.shape(
            [(0, HEIGHT), *crest, (WIDTH, HEIGHT)], mixed(canvas.palette.top, canvas.palette.bottom, step / 3)
        )


def bough(canvas: Canvas) -> None:
    """A bird upon a bust, nearly."""
    canvas.circle(300, 430, 170, canvas.palette.accent)
    canvas.line([(0, 610), (210, 590), (420, 602), (WIDTH, 560)], 16, (16, 14, 20))
    canvas.line([(330, 596), (420, 520), (470, 515)], 8, (16, 14, 20))
    bird = [
        (232, 592),
        (238, 520),
        (262, 462),
        (300, 428),
        (338, 420),
        (392, 436),
        (348, 452),
        (352, 500),
        (326, 566),
    ]
    canvas.shape([*bird, (290, 596), (220, 676), (196, 668)], (16, 14, 20))
    canvas.circle(338, 438, 4.5, canvas.palette.accent)


def chart(canvas: Canvas) -> None:
    """A map: contours, a road, and a cross."""
    for hill, (x, y) in enumerate([(190, 420), (400, 560), (230, 680)]):
        for step in range(5):
            ring = [
                _oval(x, y, (118 - step * 22) * (1 + 0.12 * math.sin(3 * a + hill)), 92 - step * 17, a)
                for a in (math.tau * part / 60 for part in range(61))
            ]
            canvas.line(ring, 2.5, canvas.shade(0.55 - step * 0.1))
    road = [(60 + step * 12, 770 - step * 9 + 26 * math.sin(step / 5)) for step in range(42)]
    for point in road[::2]:
        canvas.circle(*point, 3.5, canvas.ink)
    for way in (1, -1):
        canvas.line([(400 - 17, 560 - 17 * way), (400 + 17, 560 + 17 * way)], 7, (178, 44, 40))


def _around(x: float, y: float, radius: float, angle: float) -> Point:
    """Return a point on a circle; an angle of 0 is up."""
    return x + radius * math.sin(angle), y - radius * math.cos(angle)


def _oval(x: float, y: float, across: float, down: float, angle: float) -> Point:
    return x + across * math.sin(angle), y - down * math.cos(angle)
