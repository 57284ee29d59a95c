"""What a chart is told about: a model, its time column, and how its rows are put together.

A domain declares its charts in a module `glance` and hands them to `add_charts`. The modules are
imported when somebody asks for the page, as Django does with `admin.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from django.db import models
from django.utils.module_loading import autodiscover_modules


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Rows of one model, counted or averaged.

    `time` is an indexed column. Rows are grouped by day, month or year of it, or by the values of
    `by`, and counted for each value of `split`. With `averages` (label: column) the means of those
    columns are shown instead; together with `split`, the mean of one column for each value.
    The largest values come first, or with `by_name` those of `by` in the order of their names.
    `words` puts several values of `split` under one word.
    """

    name: str
    title: str
    # What stands here once rows are there; also the chart's description for a screen reader.
    says: str
    model: type[models.Model]
    time: str
    by: str = ""
    by_name: bool = False
    split: str = ""
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    averages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewestRows:
    """The newest rows of a model, each with columns of numbers side by side (label: column)."""

    name: str
    title: str
    says: str
    model: type[models.Model]
    time: str
    label: str
    numbers: Mapping[str, str]


AnyChart = Chart | NewestRows
_charts: dict[tuple[str, str], AnyChart] = {}


def add_charts(*charts: AnyChart) -> None:
    """Show these after those that are there; a second one of a name takes its place."""
    for chart in charts:
        _charts[chart.model._meta.app_label, chart.name] = chart


def all_charts() -> dict[tuple[str, str], AnyChart]:
    """The charts of all installed apps by app label and name."""
    _discover()
    return _charts


@cache
def _discover() -> None:
    """Once: Python looks for a module that is not there again and again."""
    autodiscover_modules("glance")
