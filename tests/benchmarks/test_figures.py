"""The benchmarks' arithmetic and pictures; what they measure is not a matter of tests."""

from __future__ import annotations

import sys
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("psutil", reason="benchmarks/requirements.txt is not installed")

from benchmarks.contest.plot import Line, plot, step
from benchmarks.contest.process import run
from benchmarks.contest.report import ratio_to_ours, table


def figures(name: str, seconds: list[float], rows: int = 1000, **more: Any) -> dict[str, Any]:
    return {
        "tool": name,
        "rows": rows,
        "seconds": seconds,
        "median": seconds[0],
        "mb_per_second": 10.0,
        "peak_mb": None,
        "note": "",
        "dirty_note": "",
        "judged": {},
        **more,
    }


def a_run(*tools: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": "2026-01-01T00:00:00",
        "versions": {"PostgreSQL": "18"},
        "cores": 2,
        "rows": 1000,
        "bytes": 5_000_000,
        "repeat": 1,
        "dirty_rows": 7,
        "tools": list(tools),
    }


def test_a_ratio_compares_rows_a_second_not_seconds() -> None:
    ours, small = figures("this project", [10.0]), figures("small", [10.0], rows=100)
    assert ratio_to_ours(a_run(ours, small), small) == pytest.approx(10.0)


def test_merged_ratios_stay_within_their_own_run() -> None:
    quiet = a_run(figures("this project", [1.0]), figures("slow", [3.0]))
    busy = a_run(figures("this project", [10.0]), figures("other", [20.0]))
    printed = table([quiet, busy])
    assert "| slow | 1,000 | 3.00 | 333 | 10 | 3.00 x as fast |" in printed
    assert "| other | 1,000 | 20.00 | 50 | 10 | 2.00 x as fast |" in printed


def test_a_missing_tool_is_a_line_of_its_own() -> None:
    absent = {"tool": "pgloader", "note": "not installed: apt-get install pgloader"}
    printed = table([a_run(figures("this project", [1.0]), absent)])
    assert printed.splitlines()[-1].endswith("not installed: apt-get install pgloader |")


def test_a_failed_tool_gets_no_speed() -> None:
    failed = figures("pgloader", [2.0], note="exit 1")
    last = table([a_run(figures("this project", [1.0]), failed)]).splitlines()[-1]
    assert "x as fast" not in last
    assert "exit 1" in last


def test_the_picture_is_well_formed_and_has_every_point() -> None:
    picture = plot("Title", [Line("a", [(10, 5.0), (1000, 7.0)]), Line("b", [(10, 1.0)])])
    root = ElementTree.fromstring(picture)
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 3
    assert all(0 < float(each.attrib["cy"]) < 320 for each in circles)


@pytest.mark.parametrize(("most", "top"), [(7, 8), (100, 100), (101, 120), (99_000, 100_000)])
def test_the_axis_ends_at_a_round_number_above(most: float, top: float) -> None:
    assert step(most) == pytest.approx(top)


def test_a_process_is_timed_and_its_status_is_told() -> None:
    ended = run([sys.executable, "-c", "print('x'); raise SystemExit(3)"], {})
    assert (ended.status, ended.output, ended.note) == (3, "x\n", "exit 3")
    assert ended.seconds > 0


def test_a_process_that_hangs_is_ended() -> None:
    ended = run([sys.executable, "-c", "import time; time.sleep(60)"], {}, limit=0.5)
    assert ended.status is None
    assert ended.note.startswith("stopped after")
