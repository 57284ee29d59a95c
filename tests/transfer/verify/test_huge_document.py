"""The judge and huge JSON documents: it sees every change."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from stillme.transfer.models import QuarantinedRow
from tests.made_once import put_samples
from tests.transfer.load.huge_documents import (
    HUGE,
    filled,
    held,
    lower_threshold,
)
from tests.transfer.load.support import change, query
from tests.transfer.load.test_huge import judged, load, put

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: Any) -> Path:
    put_samples(tmp_path, rows=5, variant="clean", files=["accuracy"])
    use_legacy_files(tmp_path)
    return tmp_path


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    lower_threshold(monkeypatch)


CHANGES = {
    "a digit": "jsonb_set(metadata, '{n}', '1.5000000000000000000000001')",
    "a type": "jsonb_set(metadata, '{n}', '\"1.5\"')",
    "a letter": "jsonb_set(metadata, '{fill}', to_jsonb(overlay(metadata ->> 'fill' placing "
    "'y' from 300)))",
    "an item": "jsonb_set(metadata, '{list}', '[1, 3, 2]')",
    "a member less": "metadata - 'n'",
    "a member more": "metadata || '{\"more\": null}'",
    "NULL": "NULL",
    "null": "'null'",
    "a small one": "'{}'",
    "its text": "to_jsonb(metadata::text)",
}


def test_the_judge_finds_a_change(legacy: Path, low: None) -> None:
    for key in range(900, 900 + len(CHANGES)):
        put(legacy, id=key, metadata=filled('{FILL, "n": 1.5, "list": [1, 2, 3]}'))
    load()
    assert not judged().findings.total
    for key, new in enumerate(CHANGES.values(), 900):
        query(f"UPDATE accuracy.accuracy_scores SET metadata = {new} WHERE id = {key}")
    found = {(finding.where, finding.key) for finding in judged().findings.kept}
    missed = [
        name
        for key, name in enumerate(CHANGES, 900)
        if ("accuracy.accuracy_scores:metadata", str(key)) not in found
    ]
    assert missed == []
    assert len(found) == len(CHANGES)


def test_the_order_of_keys_and_the_scale_of_numbers_do_not_count(legacy: Path, low: None) -> None:
    put(legacy, metadata=filled('{FILL, "b": 1.50, "a": 1e2}'))
    load()
    query(
        "UPDATE accuracy.accuracy_scores SET metadata = metadata || "
        '\'{"a": 100, "b": 1.5000}\' WHERE id = 900'
    )
    assert not judged().findings.total


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "document",
    ['{FILL, "a": 1, "a": 2}', '{FILL, "n": [{"a": 1, "\\u0061": 2}], "a": 2}', '{FILL, "a": NaN}'],
    ids=["twice", "twice inside", "NaN"],
)
def test_the_judge_finds_what_should_have_been_kept(legacy: Path, low: None, document: str) -> None:
    put(legacy, metadata=filled('{FILL, "n": [{"a": 2}], "a": 2}'))
    load()
    put(legacy, metadata=filled(document))
    kinds = {finding.kind.value for finding in judged().findings.kept}
    assert "kept_cell" in kinds


@pytest.mark.slow
def test_both_kinds_in_rows_side_by_side(legacy: Path, low: None) -> None:
    load()
    for key in range(900, 910):
        cells: dict[str, Any] = {"question": "q" * HUGE * 2} if key % 2 else {}
        put(legacy, id=key, metadata=filled('{FILL, "n": %d}') % key, **cells)
    put(legacy, id=910, metadata=filled('{"n": NaN, FILL}'), accuracy_score=b"0.25")
    put(legacy, id=911, metadata=filled("{FILL}"), accuracy_score="no number")
    outcome = load()
    assert (outcome.repaired, outcome.quarantined, outcome.inserted) == (1, 1, 11)
    assert not judged().findings.total
    query("UPDATE accuracy.accuracy_scores SET metadata = '{}' WHERE id IN (903, 908)")
    assert {finding.key for finding in judged().findings.kept} == {"903", "908"}
    query("UPDATE accuracy.accuracy_scores SET question = 'other' WHERE id = 2")
    assert {finding.key for finding in judged().findings.kept} == {"2", "903", "908"}


def without_a_key(legacy: Path) -> None:
    """The table's key is no longer one to SQLite."""
    change(
        legacy,
        "accuracy",
        "CREATE TABLE again AS SELECT * FROM accuracy_scores",
        "DROP TABLE accuracy_scores",
        "ALTER TABLE again RENAME TO accuracy_scores",
    )


@pytest.mark.slow
def test_a_key_that_stands_twice(legacy: Path, low: None) -> None:
    without_a_key(legacy)
    put(legacy, metadata=filled('{"first": 1, FILL}'))
    put(legacy, metadata=filled('{"second": 1, FILL}'))
    put(legacy, id=901, metadata='{"first": 1}')
    put(legacy, id=901, metadata=filled('{"second": 1, FILL}'))
    assert load().reasons == {"duplicate_key": 2}
    assert '"first"' in held()
    assert '"first"' in held(901)
    assert not judged().findings.total


@pytest.mark.slow
def test_a_row_that_was_edited(legacy: Path, low: None) -> None:
    put(legacy, metadata=filled('{"n": 1, FILL}'), accuracy_score="no number")
    load()
    record = str(QuarantinedRow.objects.get().pk)
    edit = ("edit", record, "--column", "accuracy_score", "--value", "0.25")
    for arguments in (edit, ("retry", record)):
        call_command("quarantine", *arguments, stdout=StringIO())
    load()
    assert '"n": 1' in held()
    assert not judged().findings.total
    query("UPDATE accuracy.accuracy_scores SET metadata = '{}' WHERE id = 900")
    assert judged().findings.total == 1
