"""A small picture of lines over a logarithmic axis, as SVG written by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 80, 90, 40, 44
ROOM = 15
COLOURS = ("#1668a8", "#c2571a", "#3a7d34", "#7a4aa0")


@dataclass(frozen=True)
class Line:
    """A name and its points (x, y)."""

    name: str
    points: list[tuple[float, float]]


def plot(title: str, lines: list[Line]) -> str:
    """One picture: x logarithmic, y from zero."""
    xs = [x for line in lines for x, _ in line.points]
    top = step(max(y for line in lines for _, y in line.points))
    low, high = math.log10(min(xs)), math.log10(max(xs))
    span = (high - low) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (math.log10(x) - low) / span * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{title}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{title}</text>',
    ]
    for number in range(5):
        y = top * number / 4
        across, down = at(min(xs), y)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}" '
            'stroke="#d8d8d8"/>'
            f'<text x="{LEFT - 8}" y="{down + 4:.1f}" text-anchor="end">{y:,.0f}</text>'
        )
    for x in sorted(set(xs)):
        across, down = at(x, 0)
        parts.append(
            f'<text x="{across:.1f}" y="{down + 20:.1f}" text-anchor="middle">{x:,.0f}</text>'
        )
    names: list[float] = []
    for line, colour in zip(lines, COLOURS, strict=False):
        points = [at(x, y) for x, y in line.points]
        beside = points[-1][1]
        while any(abs(beside - other) < ROOM for other in names):
            beside += ROOM
        names.append(beside)
        parts += drawn(line.name, points, beside, colour)
    return "\n".join([*parts, "</svg>"]) + "\n"


def drawn(name: str, points: list[tuple[float, float]], beside: float, colour: str) -> list[str]:
    """One line, its points, and its name behind the last of them, at the height `beside`."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x = points[-1][0]
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in points),
        f'<text x="{x + 9:.1f}" y="{beside + 4:.1f}" fill="{colour}">{name}</text>',
    ]


def step(most: float) -> float:
    """A round number that is no less."""
    unit = 10 ** math.floor(math.log10(most))
    return next(unit * n for n in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if unit * n >= most)
