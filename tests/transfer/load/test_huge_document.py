"""A huge JSON document fares as any other: read whole, alone, and copied in pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer.steps.kinds import json_policy
from tests.made_once import put_samples
from tests.transfer.load.huge_documents import (
    FILL,
    HUGE,
    filled,
    held,
    lower_threshold,
)
from tests.transfer.load.support import query
from tests.transfer.load.test_huge import judged, kept, load, put

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: Any) -> Path:
    put_samples(tmp_path, rows=5, variant="clean", files=["accuracy"])
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
    "500 levels": "[" * 499 + FILL[8:] + "]" * 499,
    "exponents": filled('{FILL, "n": [1e5000, -1e131071, 1e-16383]}'),
    "white space": "{" + " " * HUGE + '"a"\n:\t1 }',
}


def test_a_clean_one_is_loaded_unchanged(legacy: Path, low: None) -> None:
    for key, document in enumerate(CLEAN.values(), 900):
        put(legacy, id=key, metadata=document)
    outcome = load()
    again = load()
    assert outcome.loaded == outcome.legacy_rows
    assert (again.inserted, again.updated) == (0, 0)
    same = "SELECT metadata = %s::jsonb FROM accuracy.accuracy_scores WHERE id = %s"
    for key, (name, document) in enumerate(CLEAN.items(), 900):
        assert query(same, document, key) == [(True,)], name
    assert not judged().findings.total


@pytest.mark.slow
def test_two_in_one_row_and_a_huge_text(legacy: Path, low: None) -> None:
    """One at a time is read; each that needs no repair is copied from the file."""
    put(legacy, metadata=filled("{FILL}"), question="q" * HUGE * 2)
    put(legacy, id=901, metadata=filled("{FILL, FILL}"), question="q" * HUGE * 2)
    outcome = load()
    assert (outcome.repaired, outcome.quarantined) == (1, 0)
    assert held() == held(901)
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


def test_one_that_needs_a_repair_gets_that_of_any(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows from 800 on are repaired as any, the same documents from 900 on as huge ones."""
    cases = [
        (name, " " * shift + document, reason)
        for shift in (0, 1, 17)
        for name, (document, reason) in UNCLEAN.items()
    ]
    for key, (_, document, _) in enumerate(cases, 800):
        put(legacy, id=key, metadata=document.encode())
    load()
    lower_threshold(monkeypatch)
    for key, (_, document, _) in enumerate(cases, 900):
        put(legacy, id=key, metadata=document.encode())
    assert load().repaired == 2 * len(cases)
    cells = query("SELECT key::int, reason, value FROM transfer.kept_cell")
    kept = {key: (reason, bytes(value).decode()) for key, reason, value in cells}
    for at, (name, document, reason) in enumerate(cases):
        assert held(900 + at) == held(800 + at), name
        assert kept[800 + at] == kept[900 + at] == (reason, document), name
    assert not judged().findings.total


ASIDE = {
    "number": (FILL.join(["{", ', "n": 1e999999}']).encode(), "json_too_large"),
    "digits": (b"[" + b"7" * 200_000 + b"]", "json_too_large"),
    "depth": (b"[" * 600 + b"1" + b"]" * 600, "json_too_large"),
    "501 levels": (
        b'{"a":' * 500 + b'"' + b"x" * HUGE + b'"' + b"}" * 500,
        "json_too_large",
    ),
    "20,000 levels": (b"[" * 20_000 + b"]" * 20_000, "json_too_large"),
    "UTF-8": (b'["' + b"x" * HUGE + b'\xff"]', "invalid_utf8"),
    "surrogate": (b'["' + b"x" * HUGE + b'\xed\xa0\x80"]', "invalid_utf8"),
}


def test_one_that_is_no_document_of_jsonbs_is_set_aside(legacy: Path, low: None) -> None:
    for key, (document, _) in enumerate(ASIDE.values(), 900):
        put(legacy, id=key, metadata=document)
    assert load().quarantined == len(ASIDE)
    for key, (name, (_, reason)) in enumerate(ASIDE.items(), 900):
        assert kept(key)[0] == reason, name
    assert not judged().findings.total


@pytest.mark.slow
def test_one_that_postgresql_refuses_is_set_aside(
    legacy: Path, low: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_policy, "convert", lambda text: (text, ""))
    put(legacy, metadata=filled('{FILL, "n": NaN}'))
    outcome = load()
    assert (outcome.quarantined, outcome.loaded) == (1, outcome.legacy_rows - 1)
    assert kept()[0] == "refused_by_target"


@pytest.mark.slow
def test_a_blob_is_set_aside(legacy: Path, low: None) -> None:
    put(legacy, metadata=bytearray(b"{" + FILL.encode() + b"}"))
    load()
    assert kept()[0] == "blob"
    assert not judged().findings.total


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("new", ["{}", None, json.dumps([2] * 300), filled('{"b": {FILL}}')])
def test_a_changed_one_is_updated(legacy: Path, low: None, new: str | None) -> None:
    put(legacy, metadata=filled("{FILL}"))
    load()
    put(legacy, metadata=new)
    assert judged().findings.total == 1
    assert load().updated == 1
    assert not judged().findings.total
