"""Files whose texts are stored in UTF-16: read, judged, and every text is what is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from stillme.demo.samples import make_hostile
from stillme.demo.samples.hostile import files
from stillme.transfer.console.row.side_by_side import legacy_table
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.sqlite.copying.utf16 import utf8_bytes
from stillme.transfer.verify.sides.utf16_copy import check_converted, units
from tests.made_once import put_samples
from tests.transfer.load.support import FILES, query, run_import
from tests.transfer.verify.support import accept_all, judge

ENCODINGS = ["UTF-16le", "UTF-16be"]
CODECS = {"UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}
# What is valid: U+0000 amid a text, beyond the first plane, a byte order mark and its mirror.
VALID = ["a\0b", "\0", "😀\U0010ffff", "\ufefftext", "\ufffetext\uffff", "đạo đức", ""]
ILL = [b"\xd8\x00\x00A", b"\x00A\xdc\x00", b"\xd8\x00", b"\xdc\x00\xd8\x00"]
# Only damage leaves an odd byte: SQLite writes none.
ODD = [b"\x00A\x42", b"\x42", b"\xd8\x00\xff"]


def in_encoding(path: Path, encoding: str) -> None:
    """Write a file again in another encoding, as an application that had chosen it would."""
    old = path.with_suffix(".utf8")
    path.rename(old)
    with closing(sqlite3.connect(old)) as origin, closing(sqlite3.connect(path)) as target:
        target.execute(f"PRAGMA encoding = '{encoding}'")
        for statement in origin.iterdump():
            if "sqlite_sequence" not in statement:
                target.execute(statement)
        target.commit()
    old.unlink()


def add_item(connection: sqlite3.Connection, key: int, raw: bytes) -> None:
    """An item whose content is a text of just these bytes, in the file's encoding."""
    row = (key, raw, "test", "text")
    connection.execute(
        "INSERT INTO knowledge_items (id, content, source, knowledge_type) VALUES (?, ?, ?, ?)", row
    )
    connection.execute(
        "UPDATE knowledge_items SET content = CAST(content AS TEXT) WHERE id = ?", (key,)
    )
    found = "SELECT typeof(content), CAST(content AS BLOB) FROM knowledge_items WHERE id = ?"
    assert connection.execute(found, (key,)).fetchone() == ("text", raw)


def swapped(raw: bytes, encoding: str) -> bytes:
    """Big-endian units as the encoding has them; an odd byte stays at the end."""
    if encoding == "UTF-16be":
        return raw
    pairs = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    return b"".join(pair[::-1] for pair in pairs)


@pytest.fixture(params=ENCODINGS)
def encoding(request: pytest.FixtureRequest) -> str:
    """Either of the two."""
    return str(request.param)


@pytest.fixture
def utf16(tmp_path: Path, encoding: str, use_legacy_files: Callable[[Path], None]) -> Path:
    """The four files of the variant "current" in UTF-16, with texts that are easily spoilt."""
    put_samples(tmp_path, rows=30)
    use_legacy_files(tmp_path)
    for name in FILES.values():
        in_encoding(tmp_path / name, encoding)
    with closing(sqlite3.connect(tmp_path / FILES["knowledge"])) as connection:
        for key, text in enumerate(VALID, 9001):
            add_item(connection, key, text.encode(CODECS[encoding]))
        for key, raw in enumerate(ILL, 9011):
            add_item(connection, key, swapped(raw, encoding))
        connection.commit()
    return tmp_path


@pytest.mark.slow_after(1)
@pytest.mark.django_db(transaction=True)
def test_import_and_proof(utf16: Path, encoding: str) -> None:
    assert run_import().exit_status == 0
    held = dict(query("SELECT id, content FROM knowledge.knowledge_items"))
    for key, text in enumerate(VALID, 9001):
        if "\0" not in text:
            assert held[key] == text
    aside = {row.key: row.reason for row in QuarantinedRow.objects.filter(table="knowledge_items")}
    odd = {str(key) for key in range(9011, 9011 + len(ILL))}
    assert {key for key, reason in aside.items() if reason == "invalid_utf8"} == odd
    assert {"9001", "9002"} <= set(aside)
    accept_all()
    verdict = judge(round_trip=True)
    assert verdict.exit_status == 0, verdict
    assert any(encoding in notice for notice in verdict.notices)


@pytest.mark.slow_after(1)
@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_set_aside_is_mended(utf16: Path) -> None:
    """Its key, its original and its cells are found again in the converted copy."""
    run_import()
    row = QuarantinedRow.objects.get(table="knowledge_items", key="9011")
    call_command("quarantine", "edit", str(row.pk), "--column", "content", "--value", "mended")
    call_command("quarantine", "retry", str(row.pk))
    assert query("SELECT content FROM knowledge.knowledge_items WHERE id = 9011") == [("mended",)]
    assert run_import().exit_status == 0
    accept_all()
    assert judge().exit_status == 0


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_changed_cell_is_found(utf16: Path) -> None:
    run_import()
    accept_all()
    query("UPDATE knowledge.knowledge_items SET content = 'text' WHERE id = 9004")
    assert judge().exit_status == 1


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_hostile_files(
    tmp_path: Path,
    encoding: str,
    use_legacy_files: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every kind of oddity: other types in typed columns, columns that nobody declared."""

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*arguments, **options)
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        return connection

    insert = files._insert

    def insert_if_another(*arguments: Any) -> int:
        # Two values that are CAST from bytes may be the same text in UTF-16.
        try:
            return insert(*arguments)
        except sqlite3.IntegrityError:
            return 0

    monkeypatch.setattr(files, "sqlite3", type("sqlite3", (), {"connect": staticmethod(connect)}))
    monkeypatch.setattr(files, "_insert", insert_if_another)
    monkeypatch.setattr(files, "_key", lambda connection, table, rowid: rowid)
    make_hostile(tmp_path)
    use_legacy_files(tmp_path)
    assert run_import().exit_status == 0
    accept_all()
    verdict = judge()
    assert not [found for table in verdict.tables for found in table.findings.kept]


def test_the_copy_is_the_file(tmp_path: Path, encoding: str) -> None:
    """Tables of every build: rowids that move, none at all, generated columns, odd names."""
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute("PRAGMA user_version = 7")
        for statement in (
            "CREATE TABLE plain (a TEXT, b INTEGER, c REAL, d BLOB, UNIQUE (a, b))",
            "CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT UNIQUE)",
            "CREATE TABLE keyed (x TEXT, k TEXT, n INTEGER, PRIMARY KEY (k COLLATE NOCASE, n DESC))"
            " WITHOUT ROWID",
            "CREATE TABLE made (a TEXT, v AS (hex(a)), s AS (a || a) STORED, z TEXT)",
            'CREATE TABLE "rowid ""q""" (rowid TEXT, _rowid_ TEXT, oid TEXT)',
            "CREATE INDEX by_name ON plain (b)",
            "CREATE VIEW seen AS SELECT a FROM plain",
            "CREATE VIRTUAL TABLE words USING fts5(a)",
            "INSERT INTO words VALUES ('một hai'), ('ba')",
            "CREATE TRIGGER t AFTER INSERT ON made BEGIN DELETE FROM plain WHERE 0; END",
        ):
            connection.execute(statement)
        connection.execute("INSERT INTO plain (rowid, a, b, c, d) VALUES (9, 'ä', 1, 2, x'00')")
        connection.execute("INSERT INTO plain (rowid, a, b, c) VALUES (-3, 'x', 'text', -0.0)")
        connection.execute("INSERT INTO numbered VALUES (40, 'gone'), (12, 'ü')")
        connection.execute("DELETE FROM numbered WHERE id = 40")
        words = ["b", "A", "ÿ", "Ā", "\uffee", "😀", "\ud7ff"]
        connection.executemany(
            "INSERT INTO keyed VALUES (?, ?, ?)", [(w, w, n) for w in words for n in (1, 2)]
        )
        connection.execute("INSERT INTO made (a, z) VALUES ('ö', 'last')")
        connection.execute('INSERT INTO "rowid ""q""" VALUES (1, 2, 3), (4, 5, 6)')
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    snapshot = take_snapshot("file", path, scratch)
    check_converted(snapshot)
    assert snapshot.sha256 == take_snapshot("again", path, scratch).sha256
    with closing(snapshot.open()) as copy, closing(sqlite3.connect(path)) as file:
        assert copy.execute("PRAGMA encoding").fetchone() == ("UTF-8",)
        assert copy.execute("PRAGMA user_version").fetchone() == (7,)
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table in ("plain", "numbered", "keyed", "made", '"rowid ""q"""', "sqlite_sequence"):
            rowid = "" if table in ("keyed", '"rowid ""q"""') else "rowid, "
            rows = f"SELECT {rowid}* FROM {table}"
            told = sorted(map(repr, file.execute(rows)))
            if table == "made":
                told = [row.replace("'D600'", "'C396'").replace("'00D6'", "'C396'") for row in told]
                assert [c.replace(hex_of("ö"), "?") for c in map(repr, copy.execute(rows))] == [
                    c.replace(hex_of("ö", encoding), "?") for c in map(repr, file.execute(rows))
                ]
                continue
            assert sorted(map(repr, copy.execute(rows))) == told
        assert copy.execute("SELECT count(*) FROM words").fetchone() == (2,)
        found = copy.execute("SELECT n FROM keyed WHERE k = '😀' ORDER BY n").fetchall()
        assert found == [(1,), (2,)]


def dump_of(path: Path) -> list[str]:
    """Everything in a file, as Python spells it."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def hex_of(text: str, encoding: str = "UTF-8") -> str:
    """As SQLite's hex() spells a text of a file."""
    return text.encode(CODECS.get(encoding, "utf-8")).hex().upper()


def test_the_judge_does_not_believe_the_copy(utf16: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    snapshot = take_snapshot("knowledge", utf16 / FILES["knowledge"], scratch)
    check_converted(snapshot)
    for change in (
        "UPDATE knowledge_items SET content = 'textt' WHERE id = 9004",
        "UPDATE knowledge_items SET content = CAST(x'EDA08042' AS TEXT) WHERE id = 9011",
        "UPDATE knowledge_items SET access_count = access_count || '.5' WHERE id = 9005",
        "DELETE FROM knowledge_items WHERE id = 9005",
        "UPDATE knowledge_items SET id = 20000 WHERE id = 9005",
        "CREATE VIEW more AS SELECT 1",
    ):
        spoilt = tmp_path / "spoilt.db"
        spoilt.write_bytes(snapshot.path.read_bytes())
        with closing(sqlite3.connect(spoilt)) as connection:
            connection.executescript(change)
        with pytest.raises(LegacyFileError, match="is not what the file holds"):
            check_converted(replace(snapshot, path=spoilt))


@pytest.mark.parametrize("raw", [*[text.encode("utf-16-be") for text in VALID], *ILL, *ODD])
def test_two_roads(raw: bytes, encoding: str) -> None:
    """What the loader makes of a text, the judge takes apart into the same units."""
    stored = swapped(raw, encoding)
    assert units(utf8_bytes(stored, encoding), "UTF-8") == units(stored, encoding) == raw


@pytest.mark.slow_after(1)
@pytest.mark.django_db(transaction=True)
def test_what_needs_utf_8_says_so(utf16: Path, encoding: str, capsys: Any) -> None:
    run_import()
    with pytest.raises(CommandError, match=f"in {encoding}: it can be imported and proven") as told:
        call_command("sync_sqlite", "--install")
    assert told.value.returncode == 2
    with pytest.raises(SystemExit):
        call_command("inspect_sqlite")
    assert "cannot be followed" in capsys.readouterr().out


@pytest.mark.slow_after(1)
@pytest.mark.django_db(transaction=True)
def test_backup_and_console(utf16: Path, tmp_path: Path) -> None:
    from knowledge.models import KnowledgeItem

    run_import()
    assert "No cell differs." in legacy_table(KnowledgeItem.objects.get(pk=9004))
    KnowledgeItem.objects.filter(pk=9004).update(content="text")
    assert "1 cell differs." in legacy_table(KnowledgeItem.objects.get(pk=9004))
    backup = tmp_path / "backup"
    call_command("backup_sqlite", to=str(backup))
    for name in FILES.values():
        with closing(sqlite3.connect(backup / name)) as copy:
            assert list(copy.iterdump()) == dump_of(utf16 / name)
            assert copy.execute("PRAGMA encoding").fetchone()[0] in CODECS
