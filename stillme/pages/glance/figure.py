"""What a chart shows: labels along an axis, and series of numbers, each with a way to its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """One number, and the list of the rows that it was made of ("" where no filter finds them)."""

    value: float | int | None
    link: str = ""

    @property
    def text(self) -> str:
        """For a reader: a count in full, a mean with three digits behind the point."""
        if self.value is None:
            return "–"
        return f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:,.3f}"


@dataclass(frozen=True, slots=True)
class Series:
    """A line, or the bars of one colour."""

    label: str
    points: list[Point]


@dataclass(slots=True)
class Figure:
    """Empty where `series` is; then `notes` say why."""

    labels: list[str] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_line: bool = False
    is_stacked: bool = False
    # What the labels are: day, month, a column's name; and whether they are times.
    axis: str = ""
    is_time: bool = False

    @property
    def table(self) -> list[tuple[str, list[Point]]]:
        """A line of the table behind the chart for each label."""
        columns = [series.points for series in self.series]
        return [(label, [c[at] for c in columns]) for at, label in enumerate(self.labels)]

    def drawn(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {
            "line": self.is_line,
            "stacked": self.is_stacked,
            "time": self.is_time,
            "labels": self.labels,
            "series": [
                {
                    "label": series.label,
                    "values": [_drawable(point.value) for point in series.points],
                    "links": [point.link for point in series.points],
                }
                for series in self.series
            ],
        }


def _drawable(value: float | int | None) -> float | int | None:
    return value if value is not None and math.isfinite(value) else None
