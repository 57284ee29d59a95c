"""The generated legacy files: always the same, in the real shapes, as each variant promises."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import VARIANTS, make_samples, schema
from stillme.demo.samples.rows.continuum_rows import TRANSITIONS
from stillme.demo.samples.rows.rss_rows import ADDED, OUTCOMES

SHAPES = {
    "S": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "L": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?"),
    "P": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?([+-]\d\d:\d\d)?"),
    "D": re.compile(r"\d{4}-\d\d-\d\d"),
}
STAMPS = {
    "knowledge_items": {"last_accessed": "S", "created_at": "S"},
    "learning_sessions": {"created_at": "S"},
    "knowledge_relationships": {"created_at": "S"},
    "accuracy_scores": {"created_at": "S"},
    "performance_trends": {"created_at": "S", "measurement_date": "D"},
    "learning_objectives": {"created_at": "S", "achieved_at": "S"},
    "tier_metrics": {
        "created_at": "S",
        "updated_at": "SL",
        "last_promoted_at": "L",
        "last_demoted_at": "L",
    },
    "tier_audit": {"created_at": "L"},
    "forgetting_metrics": {
        "evaluation_timestamp": "L",
        "knowledge_update_timestamp": "P",
        "created_at": "S",
    },
    "rss_fetch_items": {"fetch_timestamp": "L", "added_to_rag_at": "L", "created_at": "S"},
    "rss_fetch_cycles": {"started_at": "L", "completed_at": "L", "created_at": "S"},
}


def rows(directory: Path, sql: str, *, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(directory / schema.FILE_OF_TABLE[table])) as connection:
        return connection.execute(sql).fetchall()


def column(directory: Path, table: str, expression: str) -> list[Any]:
    return [row[0] for row in rows(directory, f"SELECT {expression} FROM {table}", table=table)]


def content(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: rows(directory, f"SELECT rowid, * FROM {table}", table=table)
        for table in schema.FILE_OF_TABLE
        if (directory / schema.FILE_OF_TABLE[table]).stat().st_size
    }


def declared(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: re.sub(r"\s+", "", sql) for name, sql in found}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("samples")
    for variant in VARIANTS:
        make_samples(folder / variant, variant=variant)
    return {variant: folder / variant for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_arguments_give_the_same_rows(
    made: dict[str, Path], tmp_path: Path, variant: str
) -> None:
    make_samples(tmp_path, variant=variant)
    assert content(tmp_path) == content(made[variant])


def test_another_seed_gives_other_rows(made: dict[str, Path], tmp_path: Path) -> None:
    make_samples(tmp_path, variant="clean", seed=8)
    other, first = content(tmp_path), content(made["clean"])
    assert all(other[table] != first[table] for table in first)


def test_a_table_does_not_depend_on_which_other_files_are_made(
    made: dict[str, Path], tmp_path: Path
) -> None:
    summary = make_samples(tmp_path, files=["rss_fetch_history"])
    assert list(summary.paths) == [schema.RSS]
    assert sorted(path.name for path in tmp_path.iterdir()) == [schema.RSS]
    same = "SELECT * FROM rss_fetch_items"
    assert rows(tmp_path, same, table="rss_fetch_items") == rows(
        made["current"], same, table="rss_fetch_items"
    )


@pytest.mark.parametrize("variant", ["clean", "current", "old"])
@pytest.mark.parametrize("file", schema.FILES)
def test_the_schema_is_the_old_applications(
    made: dict[str, Path], samples: Path, tmp_path: Path, variant: str, file: str
) -> None:
    shutil.copytree(samples / variant / "data", tmp_path / "real")
    assert declared(made[variant] / file) == declared(tmp_path / "real" / file)


@pytest.mark.parametrize("variant", ["clean", "current", "old"])
def test_journal_mode_and_header_are_the_old_applications(
    made: dict[str, Path], samples: Path, tmp_path: Path, variant: str
) -> None:
    shutil.copytree(samples / variant / "data", tmp_path / "real")
    for file in schema.FILES:
        for pragma in ("journal_mode", "user_version", "encoding", "page_size", "auto_vacuum"):
            found = []
            for folder in (made[variant], tmp_path / "real"):
                with closing(sqlite3.connect(folder / file)) as connection:
                    found.append(connection.execute(f"PRAGMA {pragma}").fetchone())
            assert found[0] == found[1], (file, pragma)


@pytest.mark.parametrize("variant", ["clean", "current"])
def test_storage_classes_and_stamp_shapes_are_the_real_ones(
    made: dict[str, Path], samples: Path, tmp_path: Path, variant: str
) -> None:
    shutil.copytree(samples / variant / "data", tmp_path / "real")
    for table in schema.FILE_OF_TABLE:
        names = [row[1] for row in rows(made[variant], f"PRAGMA table_info({table})", table=table)]
        for name in names:
            real = set(column(tmp_path / "real", table, f"typeof({name})"))
            ours = set(column(made[variant], table, f"typeof({name})"))
            assert real - {"null"} == ours - {"null"}, (table, name)
            assert real <= ours or variant == "current", (table, name)
        for name in STAMPS[table]:
            lengths = set(column(tmp_path / "real", table, f"length({name})"))
            assert lengths <= set(column(made[variant], table, f"length({name})")) | {None}, name


@pytest.mark.parametrize("variant", ["clean", "current", "wal"])
def test_every_stamp_has_the_format_of_its_writer(made: dict[str, Path], variant: str) -> None:
    for table, stamps in STAMPS.items():
        for name, formats in stamps.items():
            found = [value for value in column(made[variant], table, name) if value is not None]
            assert found
            used = {
                letter for value in found for letter in formats if SHAPES[letter].fullmatch(value)
            }
            assert used == set(formats), (table, name)


@pytest.mark.parametrize("minutes", [420, 0, -210, 345])
def test_both_clocks_of_a_row_give_the_offset(tmp_path: Path, minutes: int) -> None:
    make_samples(tmp_path, local_offset_minutes=minutes, rows=80)
    offset = timedelta(minutes=minutes)
    for table, name in (
        ("rss_fetch_items", "fetch_timestamp"),
        ("rss_fetch_cycles", "started_at"),
        ("forgetting_metrics", "evaluation_timestamp"),
    ):
        for local, utc in rows(tmp_path, f"SELECT {name}, created_at FROM {table}", table=table):
            gap = datetime.fromisoformat(utc) + offset - datetime.fromisoformat(local)
            assert abs(gap) < timedelta(seconds=1.1), (table, local, utc)


def test_a_whole_second_has_no_fraction(made: dict[str, Path]) -> None:
    for table, name in (
        ("rss_fetch_items", "fetch_timestamp"),
        ("rss_fetch_items", "added_to_rag_at"),
        ("rss_fetch_cycles", "started_at"),
        ("tier_audit", "created_at"),
        ("forgetting_metrics", "evaluation_timestamp"),
    ):
        lengths = Counter(column(made["clean"], table, f"length({name})"))
        assert 0 < lengths[19] < lengths[26], (table, name)


def test_every_status_tier_and_transition_occurs_from_forty_rows_on(tmp_path: Path) -> None:
    make_samples(tmp_path, rows=40, variant="clean")
    statuses = set(column(tmp_path, "rss_fetch_items", "status"))
    assert statuses == {ADDED, *(status for status, _ in OUTCOMES)}
    assert set(column(tmp_path, "tier_metrics", "tier")) == {"L0", "L1", "L2", "L3"}
    steps = rows(tmp_path, "SELECT from_tier, to_tier FROM tier_audit", table="tier_audit")
    assert set(steps) >= set(TRANSITIONS)


def test_ids_have_gaps_and_the_sequence_is_above_them(made: dict[str, Path]) -> None:
    for table in ("knowledge_items", "accuracy_scores", "rss_fetch_items"):
        sql = (
            f"SELECT seq, (SELECT max(id) FROM {table}) FROM sqlite_sequence WHERE name = '{table}'"
        )
        ((mark, largest),) = rows(made["clean"], sql, table=table)
        assert mark > largest
    ids = column(made["clean"], "knowledge_items", "id")
    assert len(ids) < max(ids)


def test_what_real_files_contradict_occurs_in_every_variant(made: dict[str, Path]) -> None:
    clean = made["clean"]
    orphans = (
        "SELECT count(*) FROM knowledge_relationships"
        " WHERE source_id NOT IN (SELECT id FROM knowledge_items)"
    )
    assert rows(clean, orphans, table="knowledge_items")[0][0] > 20
    numbers = Counter(column(clean, "rss_fetch_cycles", "cycle_number"))
    assert numbers[0] > 1
    assert numbers[1] > 1
    assert None in column(clean, "rss_fetch_cycles", "completed_at")
    lying = (
        "SELECT count(*) FROM rss_fetch_cycles c WHERE entries_fetched <>"
        " (SELECT count(*) FROM rss_fetch_items i WHERE i.cycle_id = c.id)"
    )
    assert rows(clean, lying, table="rss_fetch_cycles")[0][0] > 2
    vectors = Counter(column(clean, "rss_fetch_items", "vector_id"))
    assert vectors["knowledge_https://"] > 20
    assert vectors["knowledge_unknown"] > 0
    unknown = (
        "SELECT count(*) FROM tier_audit WHERE item_id NOT IN (SELECT item_id FROM tier_metrics)"
    )
    assert rows(clean, unknown, table="tier_audit")[0][0] > 5


def every_text(directory: Path) -> list[str]:
    return [v for found in content(directory).values() for r in found for v in r if type(v) is str]


def test_clean_holds_nothing_that_postgresql_refuses(made: dict[str, Path]) -> None:
    assert not [text for text in every_text(made["clean"]) if "\0" in text]
    for table in ("knowledge_items", "learning_sessions", "accuracy_scores", "learning_objectives"):
        for text in column(made["clean"], table, "metadata"):
            assert "\\u0000" not in text
            value = json.loads(text, parse_constant=pytest.fail)
            json.dumps(value, ensure_ascii=False).encode()  # fails on a lone surrogate


def test_current_holds_what_the_application_really_leaves(made: dict[str, Path]) -> None:
    current = made["current"]
    metadata = column(current, "knowledge_items", "metadata")
    for part in ("NaN", "-Infinity", "\\u0000", "\\ud83d pair", "1" + "0" * 40, "1e-320"):
        assert any(part in text for text in metadata), part
    for table, name in (
        ("knowledge_items", "content"),
        ("learning_sessions", "content_learned"),
        ("accuracy_scores", "actual_answer"),
        ("rss_fetch_items", "title"),
        ("rss_fetch_items", "summary"),
    ):
        assert any("\0" in (text or "") for text in column(current, table, name)), (table, name)
    assert (
        max(column(current, "rss_fetch_items", "length(summary)"), key=lambda n: n or 0) > 200_000
    )
    assert max(column(current, "learning_sessions", "length(content_learned)")) > 200_000
    for table, name in (
        ("knowledge_items", "confidence_score"),
        ("knowledge_items", "retention_score"),
        ("tier_metrics", "surprise_score"),
        ("forgetting_metrics", "recall_at_k_before"),
        ("rss_fetch_items", "link"),
    ):
        assert None in column(current, table, name), (table, name)
    assert "L9" in column(current, "tier_audit", "to_tier")


def test_sessions_and_scores_tell_of_the_same_chats(made: dict[str, Path]) -> None:
    sessions = rows(
        made["current"],
        "SELECT id, content_learned, created_at FROM learning_sessions",
        table="learning_sessions",
    )
    scores = rows(
        made["current"],
        "SELECT id, 'Q: ' || question || char(10) || 'A: ' || actual_answer, created_at"
        " FROM accuracy_scores",
        table="accuracy_scores",
    )
    assert [(n, text.split("\0")[0], at) for n, text, at in sessions] == [
        (n, text.split("\0")[0], at) for n, text, at in scores
    ]


def test_the_log_variant_has_rows_only_in_the_log(tmp_path: Path) -> None:
    summary = make_samples(tmp_path / "wal", variant="wal")
    assert (tmp_path / "wal" / f"{schema.RSS}-wal").stat().st_size > 0
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tmp_path / "wal" / schema.RSS, alone)
    found = [len(column(folder, "rss_fetch_items", "id")) for folder in (alone, tmp_path / "wal")]
    assert found == [300, 330]
    assert summary.rows["rss_fetch_items"] == 330


def test_the_old_variant_has_the_first_schema(made: dict[str, Path]) -> None:
    names = [
        row[1] for row in rows(made["old"], "PRAGMA table_info(tier_metrics)", table="tier_metrics")
    ]
    assert "last_update_cycle" not in names
    assert set(column(made["old"], "rss_fetch_cycles", "entries_fetched")) == {0}
    upgraded = sqlite3.connect(":memory:")
    schema.create(upgraded, schema.CONTINUUM, first=True)
    schema.upgrade(upgraded)
    assert schema.columns(upgraded, "tier_metrics") == [*names, "last_update_cycle"]


def test_the_disabled_variant_leaves_an_empty_file(tmp_path: Path) -> None:
    summary = make_samples(tmp_path, variant="disabled", rows=5)
    assert (tmp_path / schema.CONTINUUM).stat().st_size == 0
    assert "tier_metrics" not in summary.rows
    assert summary.rows["rss_fetch_items"] == 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_row_is_enough(tmp_path: Path, variant: str) -> None:
    summary = make_samples(tmp_path, rows=1, variant=variant)
    assert all(count >= 1 for count in summary.rows.values())


def test_the_summary_counts_what_is_in_the_files(made: dict[str, Path], tmp_path: Path) -> None:
    summary = make_samples(tmp_path, variant="current", rows=30)
    assert summary.rows == {table: len(found) for table, found in content(tmp_path).items()}
    assert summary.total == sum(summary.rows.values())


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no variant 'new'"):
        make_samples(tmp_path, variant="new")
    with pytest.raises(ValueError, match=r"chat_history\.db is not a legacy file"):
        make_samples(tmp_path, files=["chat_history"])
    with pytest.raises(ValueError, match="at least one row"):
        make_samples(tmp_path, rows=0)
    make_samples(tmp_path, rows=1)
    with pytest.raises(FileExistsError, match="choose an empty folder"):
        make_samples(tmp_path, rows=1)
