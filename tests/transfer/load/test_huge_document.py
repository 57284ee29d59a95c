"""A huge JSON document fares as any other, read in pieces where jsonb takes it unchanged."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_samples
from stillme.transfer.steps.rows import json_scan
from tests.transfer.load.huge_documents import (
    FILL,
    HUGE,
    filled,
    held,
    lower_threshold,
    read_whole,
    server_compares,
)
from tests.transfer.load.support import FILES, query
from tests.transfer.load.test_huge import judged, kept, load, put

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: Any) -> Path:
    make_samples(tmp_path, rows=5, variant="clean")
    use_legacy_files(tmp_path)
    return tmp_path


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    lower_threshold(monkeypatch)


CLEAN = {
    "members": filled("{FILL, ") + ", ".join(f'"k{n}": {n}.50' for n in range(50)) + "}",
    "nested": filled('{"a": [{"a": {"a": [1, {"b": null}]}}, {FILL}, {FILL}]}'),
    "array": json.dumps(list(range(500))),
    "one text": json.dumps('\u77e5 \U0001f600 " \\ \n' * 100),
    "pairs": '["' + "x" * 60 + "\\ud83d\\ude00" * 200 + '"]',
    "long number": "[" + "9" * 3_000 + ".25, -0.0, 1e5]",
    "deep": "[" * 400 + FILL[8:] + "]" * 400,
    "499 levels": "[" * 498 + FILL[8:] + "]" * 498,
    "exponents": filled('{FILL, "n": [1e5000, -1e131071, 1e-16383]}'),
    "white space": "{" + " " * HUGE + '"a"\n:\t1 }',
}


@pytest.mark.parametrize("document", CLEAN.values(), ids=CLEAN.keys())
def test_a_clean_one_is_never_whole(legacy: Path, low: None, document: str) -> None:
    put(legacy, metadata=document)
    with read_whole() as loader:
        outcome = load()
        again = load()
    assert outcome.loaded == outcome.legacy_rows
    assert (again.inserted, again.updated) == (0, 0)
    assert query("SELECT metadata = %s::jsonb FROM accuracy.accuracy_scores WHERE id = 900",
                 document) == [(True,)]  # fmt: skip
    with read_whole() as judge:
        assert not judged().findings.total
    assert not loader
    assert not judge or not server_compares()


def test_one_of_500_levels_is_loaded(legacy: Path, low: None) -> None:
    """In doubt it is read whole, on both sides."""
    put(legacy, metadata="[" * 499 + FILL[8:] + "]" * 499)
    outcome = load()
    assert outcome.loaded == outcome.legacy_rows
    assert not judged().findings.total


UNCLEAN = {
    "twice": (filled('{FILL, "a": 1, "b": {"c": [1]}, "a": 2}'), "duplicate_keys"),
    "twice deep inside": (filled('[[{"x": [{FILL, "fil\\u006c": 1}]}]]'), "duplicate_keys"),
    "NaN": (filled('{FILL, "n": [NaN, 1]}'), "not_finite"),
    "U+0000": (filled('{FILL, "n": "a\\u0000"}'), "bad_escape"),
    "half a pair": (filled('{FILL, "n": "\\ud83d"}'), "bad_escape"),
    "trailing": (filled('{FILL} x'), "not_json"),
    "NUL": (filled('{FILL\0}'), "not_json"),
    "no JSON": ("x" * HUGE * 2, "not_json"),
}  # fmt: skip


@pytest.mark.parametrize("shift", [0, 1, 17])
@pytest.mark.parametrize(("document", "reason"), UNCLEAN.values(), ids=UNCLEAN.keys())
def test_one_that_needs_a_repair_gets_that_of_any(
    legacy: Path, monkeypatch: pytest.MonkeyPatch, document: str, reason: str, shift: int
) -> None:
    document = " " * shift + document
    put(legacy, id=899, metadata=document.encode())
    load()
    lower_threshold(monkeypatch)
    put(legacy, metadata=document.encode())
    assert load().repaired == 2
    assert held() == held(899)
    cells = query("SELECT key, reason, value FROM transfer.kept_cell ORDER BY 1")
    assert [cell[:2] for cell in cells] == [("899", reason), ("900", reason)]
    assert bytes(cells[0][2]) == bytes(cells[1][2]) == document.encode()
    assert not judged().findings.total


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (FILL.join(["{", ', "n": 1e999999}']).encode(), "json_too_large"),
        (b"[" + b"7" * 200_000 + b"]", "json_too_large"),
        (b"[" * 600 + b"1" + b"]" * 600, "json_too_large"),
        (b'{"a":' * 500 + b'"' + b"x" * HUGE + b'"' + b"}" * 500, "json_too_large"),
        (b"[" * 20_000 + b"]" * 20_000, "json_too_large"),
        (b'["' + b"x" * HUGE + b'\xff"]', "invalid_utf8"),
        (b'["' + b"x" * HUGE + b'\xed\xa0\x80"]', "invalid_utf8"),
    ],
    ids=["number", "digits", "depth", "501 levels", "20,000 levels", "UTF-8", "surrogate"],
)
def test_one_that_is_no_document_of_jsonbs_is_set_aside(
    legacy: Path, low: None, document: bytes, reason: str
) -> None:
    put(legacy, metadata=document)
    assert load().quarantined == 1
    assert kept()[0] == reason
    assert not judged().findings.total


def test_one_that_postgresql_refuses_is_set_aside(
    legacy: Path, low: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_scan, "is_clean", lambda pieces: True)
    put(legacy, metadata=filled('{FILL, "n": NaN}'))
    outcome = load()
    assert (outcome.quarantined, outcome.loaded) == (1, outcome.legacy_rows - 1)
    assert kept()[0] == "refused_by_target"


def test_a_blob_is_set_aside(legacy: Path, low: None) -> None:
    put(legacy, metadata=bytearray(b"{" + FILL.encode() + b"}"))
    load()
    assert kept()[0] == "blob"
    assert not judged().findings.total


@pytest.mark.parametrize("new", ["{}", None, json.dumps([2] * 300), filled('{"b": {FILL}}')])
def test_a_changed_one_is_updated(legacy: Path, low: None, new: str | None) -> None:
    put(legacy, metadata=filled("{FILL}"))
    load()
    put(legacy, metadata=new)
    assert judged().findings.total == 1
    assert load().updated == 1
    assert not judged().findings.total


def test_12_mb_leave_the_memory_alone(legacy: Path) -> None:
    """With the threshold as it is."""
    members = (f'"key {n:06d}": {{"title": "tri th\u1ee9c", "n": {n}}}' for n in range(250_000))
    document = "{" + ", ".join(members) + "}"
    assert len(document.encode()) > 12_000_000
    put(legacy, metadata=document)
    del document
    load(chunk_rows=10_000)
    with closing(sqlite3.connect(legacy / FILES["accuracy"])) as connection, connection:
        connection.execute("UPDATE accuracy_scores SET metadata = metadata || ' ' WHERE id = 900")
    peaks = {}
    for name, step in {"import": load, "verify": judged, "again": load}.items():
        tracemalloc.start()
        try:
            step()
            peaks[name] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    if not server_compares():
        del peaks["verify"]
    assert max(peaks.values()) < 8_000_000, peaks
