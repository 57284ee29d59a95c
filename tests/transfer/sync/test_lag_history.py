"""The lag's history: thinned, bounded, plotted; looking at the states writes nothing."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from stillme.transfer.findings import Event
from stillme.transfer.models import LagSample
from stillme.transfer.steps.syncing import lag_history
from stillme.transfer.steps.syncing.lag_history import HOURS, LagHistory, lag_plot

pytestmark = pytest.mark.django_db


def _lag(file: str, seconds: float) -> Event:
    return Event("lag", {"file": file, "changes": 3, "seconds": seconds, "replayed": 0})


def test_reports_are_passed_on_and_thinned() -> None:
    heard: list[Event] = []
    history = LagHistory("default", heard.append)
    for event in (_lag("rss", 1.0), _lag("rss", 2.0), _lag("accuracy", 0.5), Event("notice", {})):
        history(event)
    assert [event.name for event in heard] == ["lag", "lag", "lag", "notice"]
    assert set(LagSample.objects.values_list("file", "seconds")) == {
        ("rss", 1.0),
        ("accuracy", 0.5),
    }


@pytest.mark.parametrize("booted", [0.0, 59.0, 1e9])
def test_old_samples_are_forgotten(booted: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a follower that starts with its machine."""
    monkeypatch.setattr(lag_history, "time", SimpleNamespace(monotonic=lambda: booted))
    old = timezone.now() - timedelta(hours=HOURS, minutes=1)
    LagSample.objects.create(file="rss", at=old, changes=1, seconds=9.0)
    LagHistory("default", lambda event: None)(_lag("rss", 1.0))
    assert list(LagSample.objects.values_list("seconds", flat=True)) == [1.0]


def test_the_plot_shows_the_worst_of_each_slice_and_no_line_where_nobody_followed() -> None:
    now = timezone.now()
    for minutes, file, seconds in ((30, "rss", 1.0), (30, "rss", 7.0), (2, "accuracy", 0.5)):
        at = now - timedelta(minutes=minutes)
        LagSample.objects.create(file=file, at=at, changes=1, seconds=seconds)
    LagSample.objects.create(file="rss", at=now - timedelta(hours=2), changes=1, seconds=99.0)
    plot = lag_plot("default")
    assert len(plot["times"]) == 2
    assert plot["files"] == {"rss": [7.0, None], "accuracy": [None, 0.5]}
