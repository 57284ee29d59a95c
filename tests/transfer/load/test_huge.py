"""A huge text is read, checked, copied and compared in pieces: every rule of a text holds."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.sqlite.reading import huge_cells, snapshot_reader
from stillme.transfer.sqlite.reading.huge_cells import HugeCell
from stillme.transfer.sqlite.reading.row_source import SnapshotRows
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.load.support import FILES, content, query, run_import

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("accuracy")]

HUGE, PIECE = 400, 64
SCORES = Selection(tables=("accuracy_scores",))
OTHERS = {
    "id": 900,
    "created_at": "2025-01-02 03:04:05",
    "accuracy_score": 0.5,
    "scoring_method": "m",
    "actual_answer": "a",
}


@pytest.fixture(autouse=True)
def low_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_cells, "HUGE_BYTES", HUGE)
    monkeypatch.setattr(huge_cells, "PIECE_BYTES", PIECE)


@pytest.fixture
def legacy(legacy: Path) -> Path:
    """Without the samples' own rows for the quarantine."""
    with closing(sqlite3.connect(legacy / FILES["accuracy"])) as connection, connection:
        connection.execute("DELETE FROM accuracy_scores WHERE id > 8")
        held = " || ".join(f"ifnull({name}, '')" for name in ("question", "actual_answer"))
        connection.execute(
            f"DELETE FROM accuracy_scores WHERE instr(CAST({held} AS BLOB), x'00') > 0"
        )
    return legacy


@pytest.fixture
def never_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test with it fails where a huge text is read as one value."""

    def read(cell: HugeCell) -> bytes:
        raise AssertionError(f"{cell.column} is read whole")

    monkeypatch.setattr(HugeCell, "read", read)


def put(directory: Path, **cells: Any) -> None:
    """A row of accuracy_scores; bytes are stored as text."""
    cells = {"question": "q", **OTHERS, **cells}
    marks = ["CAST(? AS TEXT)" if isinstance(v, bytes) else "?" for v in cells.values()]
    with closing(sqlite3.connect(directory / FILES["accuracy"])) as connection, connection:
        connection.execute(
            f"INSERT OR REPLACE INTO accuracy_scores ({', '.join(cells)}) "
            f"VALUES ({', '.join(marks)})",
            [bytes(v) if isinstance(v, bytearray) else v for v in cells.values()],
        )


def load(**options: Any) -> Any:
    (table,) = run_import(selection=SCORES, **options).tables
    assert table.outcome.conserved
    return table.outcome


def judged() -> Any:
    result = verify(VerifyOptions(selection=SCORES, jobs=1))
    (table,) = result.tables
    return table


def stored(key: int = 900) -> tuple[Any, ...]:
    return query(
        "SELECT question, actual_answer, expected_answer FROM accuracy.accuracy_scores "
        "WHERE id = %s",
        key,
    )[0]


def kept(key: int = 900) -> tuple[Any, ...]:
    ((reason, sentence),) = query(
        "SELECT reason, sentence FROM transfer.quarantined_row WHERE key = %s", str(key)
    )
    return reason, sentence


def texts() -> dict[str, str]:
    """Texts that have something unusual around the first end of a piece."""
    unusual = {
        "two bytes": "é",
        "four bytes": "\U0001f600",
        "quote": "\x01",
        "quotes": "\x01\x01\x01",
        "line": "\r\n\\.\n",
        "backslash": "\\N\\\\",
    }
    return {
        f"{name} at {shift}": "x" * (PIECE + shift) + middle + "y" * HUGE
        for shift in range(-3, 3)
        for name, middle in unusual.items()
    }


def test_a_huge_text_arrives(legacy: Path, never_whole: None) -> None:
    for number, text in enumerate(texts().values()):
        put(legacy, id=900 + number, question=text)
    outcome = load()
    held = {name: stored(900 + number)[0] for number, name in enumerate(texts())}
    assert [name for name, text in texts().items() if held[name] != text] == []
    assert outcome.loaded == outcome.legacy_rows
    assert not judged().findings.total


@pytest.mark.slow
@pytest.mark.parametrize("staged", [False, True])
def test_two_in_one_row_beside_neighbours(legacy: Path, never_whole: None, staged: bool) -> None:
    if staged:
        load()
    long = "é" * HUGE
    put(legacy, id=899, question="before")
    put(legacy, question=long, actual_answer="b" * HUGE + long, expected_answer=None)
    put(legacy, id=901, question="c" * (HUGE + 1))
    put(legacy, id=902, question="d" * HUGE)
    load()
    assert stored() == (long, "b" * HUGE + long, None)
    assert [stored(key)[0] for key in (899, 901, 902)] == [
        "before",
        "c" * (HUGE + 1),
        "d" * HUGE,
    ]
    assert not judged().findings.total


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("start", range(5))
def test_large_rows_among_usual_ones(
    legacy: Path, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    """Usual rows come a few at a time, from the first large one on each alone: every one once."""
    monkeypatch.setattr(huge_cells, "HUGE_BYTES", 10 * HUGE)
    monkeypatch.setattr(snapshot_reader, "LARGE_BYTES", 5 * HUGE)
    monkeypatch.setattr(snapshot_reader, "FEW", 4)
    large = (start, start + 1, 9)
    texts = {900 + n: str(n % 10) * (7 * HUGE if n in large else 3) for n in range(12)}
    for key, text in texts.items():
        put(legacy, id=key, question=text)
    together, original = [], SnapshotRows.bounded

    def noted(source: SnapshotRows, *asked: Any) -> Iterator[Any]:
        for rows in original(source, *asked):
            together.append(len(rows))
            yield rows

    monkeypatch.setattr(SnapshotRows, "bounded", noted)
    outcome = load()
    assert together == [4] * ((8 + start) // 4)
    assert outcome.loaded == outcome.legacy_rows == 8 + len(texts)
    assert {key: stored(key)[0] for key in texts} == texts
    assert not judged().findings.total


def test_what_is_no_text_is_set_aside_whole(legacy: Path) -> None:
    cases = {}
    for shift in range(-4, 3):
        start = b"x" * (PIECE + shift)
        for bad in (b"\xff", b"\xed\xa0\x80", b"\xc3", b"\0"):
            text, reason = (
                start + bad + b"y" * HUGE,
                "nul_in_text" if bad == b"\0" else "invalid_utf8",
            )
            put(legacy, id=900 + len(cases), question=text)
            cases[900 + len(cases)] = (text, reason, len(start))
    outcome = load()
    assert outcome.quarantined == len(cases)
    assert not judged().findings.total
    for key, (text, reason, place) in cases.items():
        found, sentence = kept(key)
        assert found == reason, text[:PIECE]
        assert f" {place} of" in sentence
        ((cell,),) = query(
            "SELECT cells -> 'question' ->> 1 FROM transfer.quarantined_row WHERE key = %s",
            str(key),
        )
        assert base64.b64decode(cell) == text


@pytest.mark.slow
def test_invalid_comes_before_nul_and_at_the_end(legacy: Path) -> None:
    put(legacy, question=b"\0" + b"y" * HUGE + b"\xc3")
    load()
    assert kept() == ("invalid_utf8", f"Not UTF-8 at byte {HUGE + 1} of the stored text.")


def test_a_blob_is_set_aside(legacy: Path) -> None:
    put(legacy, question=bytearray(b"z" * HUGE * 2))
    load()
    assert kept()[0] == "blob"
    assert not judged().findings.total


@pytest.mark.slow
def test_a_row_bad_in_another_cell_is_kept_whole(legacy: Path) -> None:
    put(legacy, question="q" * HUGE * 2, accuracy_score="no number")
    load()
    assert kept()[0] == "not_a_number"
    assert not judged().findings.total
    query(
        "UPDATE transfer.quarantined_row SET cells = jsonb_set(cells, '{question,1}', '\"eHg=\"')"
    )
    assert judged().findings.total == 1


@pytest.mark.slow
def test_a_row_repaired_in_another_cell_is_loaded(legacy: Path, never_whole: None) -> None:
    text = "q" * HUGE * 2
    put(legacy, question=text, accuracy_score=b"0.25")
    with closing(sqlite3.connect(legacy / FILES["accuracy"])) as connection, connection:
        connection.execute("UPDATE accuracy_scores SET metadata = 'no json' WHERE id = 900")
    outcome = load()
    assert outcome.repaired == 1
    assert stored()[0] == text
    assert not judged().findings.total


@pytest.mark.slow
def test_again_with_nothing_changed(legacy: Path, never_whole: None) -> None:
    put(legacy, question="q" * HUGE * 2)
    load()
    before = content()
    again = load()
    assert (again.inserted, again.updated) == (0, 0)
    put(legacy, id=3, question="another row is changed")
    assert load(chunk_rows=10_000).updated == 1
    put(legacy, id=3, question="and back")
    load()
    assert content().keys() == before.keys()
    assert stored()[0] == "q" * HUGE * 2


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("text", ["p" + "q" * HUGE * 2, "small", "q" * HUGE * 3])
def test_a_changed_one_is_updated(legacy: Path, never_whole: None, text: str) -> None:
    put(legacy, question="q" * HUGE * 2 + "p")
    load()
    put(legacy, question=text)
    assert judged().findings.total == 1
    assert load().updated == 1
    assert stored()[0] == text
    assert not judged().findings.total


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "changed",
    [
        "overlay(question placing 'X' from 300 for 1)",
        "question || 'q'",
        "'small'",
        "left(question, 300) || 'é' || substr(question, 303)",
    ],
)
def test_the_judge_finds_a_changed_character(legacy: Path, never_whole: None, changed: str) -> None:
    put(legacy, question="q" * HUGE * 2)
    load()
    assert not judged().findings.total
    query(f"UPDATE accuracy.accuracy_scores SET question = {changed} WHERE id = 900")
    proof = judged()
    assert proof.findings.total == 1
    (finding,) = proof.findings.kept
    assert finding.where == "accuracy.accuracy_scores:question"
    assert finding.key == "900"
    assert "SHA-256" in str(finding.expected)


@pytest.mark.slow
def test_the_judge_finds_a_small_text_grown_huge(legacy: Path) -> None:
    put(legacy, question="q")
    load()
    query("UPDATE accuracy.accuracy_scores SET question = repeat('q', %s) WHERE id = 900", HUGE * 3)
    (finding,) = judged().findings.kept
    assert "SHA-256" in str(finding.found)


@pytest.mark.slow
def test_the_judge_finds_a_missing_and_a_second_one(legacy: Path) -> None:
    put(legacy, question="q" * HUGE * 2)
    load()
    query("UPDATE accuracy.accuracy_scores SET id = 800 WHERE id = 900")
    assert judged().findings.total == 2


def test_a_dry_run_counts_as_the_import_does(legacy: Path) -> None:
    put(legacy, question="q" * HUGE * 2)
    put(legacy, id=901, question=b"\xff" + b"q" * HUGE)
    dry = load(dry_run=True)
    real = load()
    assert (dry.loaded, dry.quarantined, dry.reasons) == (
        real.loaded,
        real.quarantined,
        real.reasons,
    )
    assert real.quarantined == 1
