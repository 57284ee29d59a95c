"""Every kind of finding has a planted corruption that the judge finds and locates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from stillme.transfer.findings import FindingKind
from tests.transfer.load.support import query
from tests.transfer.verify.support import file_of, judge, places, undone

ITEMS, ITEM_KEY = "knowledge.knowledge_items", "SELECT '9'"
RELATIONS = "knowledge.knowledge_relationships"
FETCHED, CYCLES = "rss.fetch_items", "rss.fetch_cycles"
ASIDE = (
    "SELECT key FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' "
    "ORDER BY id LIMIT 1"
)


@dataclass(frozen=True)
class Plant:
    """A corruption in SQL, and where the judge must see it; `key` is a query made before it."""

    what: str
    kind: FindingKind
    where: str
    sql: tuple[str, ...]
    key: str = ""
    level: str = "full"


def _one(what: str, kind: FindingKind, where: str, *sql: str, key: str = "") -> Plant:
    return Plant(what, kind, where, sql, key)


_KEEP = (
    'INSERT INTO transfer.kept_cell (file, "table", key, "column", storage, value, reason) VALUES '
)
_UPDATE = f"UPDATE {ITEMS} SET"
_LAST = f"SELECT max(id)::text FROM {FETCHED}"
PLANTS = [
    _one("a cell", FindingKind.VALUE, f"{ITEMS}:source", f"{_UPDATE} source = source || ' ' "
         "WHERE id = 9", key=ITEM_KEY),
    _one("a deleted row", FindingKind.MISSING_ROW, FETCHED,
         f"DELETE FROM {FETCHED} WHERE id = (SELECT max(id) FROM {FETCHED})", key=_LAST),
    _one("an extra row", FindingKind.EXTRA_ROW, CYCLES,
         f"INSERT INTO {CYCLES} (id, cycle_number, started_at, status) "
         "VALUES (-4, 1, now(), 'completed')", key="SELECT '-4'"),
    _one("a row of an accepted one", FindingKind.EXTRA_ROW, ITEMS,
         f"INSERT INTO {ITEMS} (id, content, source, knowledge_type) SELECT key::bigint, "
         "'c', 's', 't' FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' "
         "ORDER BY id LIMIT 1", key=ASIDE),
    _one("an earlier version of an open one", FindingKind.EXTRA_ROW, ITEMS,
         "UPDATE transfer.quarantined_row SET status = 'open'",
         f"INSERT INTO {ITEMS} (id, content, source, knowledge_type) SELECT key::bigint, "
         "'c', 's', 't' FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items' "
         "ORDER BY id LIMIT 1", key=ASIDE),
    _one("a swapped foreign key", FindingKind.VALUE, f"{FETCHED}:cycle_id",
         f"UPDATE {FETCHED} SET cycle_id = (SELECT id FROM {CYCLES} WHERE id <> cycle_id LIMIT 1) "
         f"WHERE id = (SELECT max(id) FROM {FETCHED})", key=_LAST),
    _one("a dangling reference", FindingKind.FOREIGN_KEY, f"{FETCHED}:cycle_id",
         f"UPDATE {FETCHED} SET cycle_id = 999999 WHERE id = (SELECT max(id) FROM {FETCHED})",
         key=_LAST),
    _one("a sequence set back", FindingKind.SEQUENCE, f"{ITEMS}:id",
         f"ALTER TABLE {ITEMS} ALTER COLUMN id RESTART WITH 3"),
    _one("a sequence that ends here", FindingKind.SEQUENCE, f"{ITEMS}:id",
         f"DO $$ BEGIN EXECUTE (SELECT 'ALTER TABLE {ITEMS} ALTER COLUMN id SET MAXVALUE ' || "
         f"last_value FROM knowledge.knowledge_items_id_seq); END $$"),
    _one("no sequence", FindingKind.SEQUENCE, f"{ITEMS}:id",
         f"ALTER TABLE {ITEMS} ALTER COLUMN id DROP IDENTITY"),
    _one("a dropped index", FindingKind.INDEX, ITEMS,
         "DROP INDEX knowledge.idx_knowledge_items_created_at"),
    _one("an index of another column", FindingKind.INDEX, ITEMS,
         "DROP INDEX knowledge.idx_knowledge_items_created_at",
         f"CREATE INDEX idx_knowledge_items_created_at ON {ITEMS} (last_accessed)"),
    _one("a dropped primary key", FindingKind.CONSTRAINT, "accuracy.accuracy_scores",
         "ALTER TABLE accuracy.accuracy_scores DROP CONSTRAINT accuracy_scores_pkey"),
    _one("a constraint not validated", FindingKind.CONSTRAINT, ITEMS,
         f"ALTER TABLE {ITEMS} ADD CONSTRAINT late CHECK (id <> 0) NOT VALID"),
    _one("a dropped foreign key", FindingKind.FOREIGN_KEY, f"{RELATIONS}:source_id",
         f"DO $$ DECLARE n text; BEGIN SELECT conname INTO n FROM pg_constraint WHERE conrelid = "
         f"'{RELATIONS}'::regclass AND contype = 'f' AND pg_get_constraintdef(oid) LIKE "
         f"'%(source_id)%'; EXECUTE 'ALTER TABLE {RELATIONS} DROP CONSTRAINT ' || n; END $$"),
    _one("a foreign key to elsewhere", FindingKind.FOREIGN_KEY, f"{RELATIONS}:source_id",
         f"DO $$ DECLARE n text; BEGIN SELECT conname INTO n FROM pg_constraint WHERE conrelid = "
         f"'{RELATIONS}'::regclass AND contype = 'f' AND pg_get_constraintdef(oid) LIKE "
         f"'%(source_id)%'; EXECUTE 'ALTER TABLE {RELATIONS} DROP CONSTRAINT ' || n; END $$",
         f"ALTER TABLE {RELATIONS} ADD FOREIGN KEY (source_id) REFERENCES "
         "knowledge.learning_sessions NOT VALID"),
    _one("a missing column", FindingKind.COLUMN, f"{ITEMS}:access_count",
         f"ALTER TABLE {ITEMS} DROP COLUMN access_count"),
    _one("a column too many", FindingKind.COLUMN, f"{ITEMS}:surplus",
         f"ALTER TABLE {ITEMS} ADD COLUMN surplus text"),
    _one("another type", FindingKind.COLUMN, f"{ITEMS}:confidence_score",
         f"ALTER TABLE {ITEMS} ALTER COLUMN confidence_score TYPE real"),
    _one("NULL allowed", FindingKind.COLUMN, f"{ITEMS}:content",
         f"ALTER TABLE {ITEMS} ALTER COLUMN content DROP NOT NULL"),
    _one("a default gone", FindingKind.COLUMN, f"{ITEMS}:access_count",
         f"ALTER TABLE {ITEMS} ALTER COLUMN access_count DROP DEFAULT"),
    _one("another default", FindingKind.COLUMN, f"{ITEMS}:access_count",
         f"ALTER TABLE {ITEMS} ALTER COLUMN access_count SET DEFAULT 1"),
    _one("a child table", FindingKind.TABLE, ITEMS,
         f"CREATE TABLE public.child () INHERITS ({ITEMS})"),
    _one("a missing table", FindingKind.MISSING_TABLE, "accuracy.performance_trends",
         "DROP TABLE accuracy.performance_trends"),
    _one("a changed kept cell", FindingKind.KEPT_CELL, f"{ITEMS}:metadata",
         "UPDATE transfer.kept_cell SET value = value || 'x'::bytea "
         "WHERE \"table\" = 'knowledge_items' AND key = '7'", key="SELECT '7'"),
    _one("a kept cell of another reason", FindingKind.KEPT_CELL, f"{ITEMS}:metadata",
         "UPDATE transfer.kept_cell SET reason = 'not_json' "
         "WHERE \"table\" = 'knowledge_items' AND key = '7'", key="SELECT '7'"),
    _one("a lost kept cell", FindingKind.KEPT_CELL, f"{ITEMS}:metadata",
         "DELETE FROM transfer.kept_cell WHERE \"table\" = 'knowledge_items' AND key = '7'",
         key="SELECT '7'"),
    _one("a kept cell of a plain row", FindingKind.KEPT_CELL, f"{ITEMS}:source",
         f"{_KEEP}('knowledge', 'knowledge_items', '9', 'source', 'text', 'x', 'number_in_text')",
         key=ITEM_KEY),
    _one("a kept cell of no row", FindingKind.KEPT_CELL, f"{ITEMS}:source",
         f"{_KEEP}('knowledge', 'knowledge_items', '-17', 'source', 'text', 'x', 'number_in_text')",
         key="SELECT '-17'"),
    _one("a changed quarantined row", FindingKind.QUARANTINE_KEPT_ROW, f"{ITEMS}:source",
         "UPDATE transfer.quarantined_row SET cells = "
         "jsonb_set(cells, '{source}', '[\"text\", \"QUJD\"]') "
         "WHERE \"table\" = 'knowledge_items'", key=ASIDE),
    _one("a cell that nobody packed", FindingKind.QUARANTINE_KEPT_ROW, f"{ITEMS}:source",
         "UPDATE transfer.quarantined_row SET cells = jsonb_set(cells, '{source}', 'null') "
         "WHERE \"table\" = 'knowledge_items'", key=ASIDE),
    _one("a record that is none", FindingKind.QUARANTINE_KEPT_ROW, f"{ITEMS}:source",
         "UPDATE transfer.quarantined_row SET cells = '[]' WHERE \"table\" = 'knowledge_items'",
         key=ASIDE),
    _one("a lost quarantined row", FindingKind.QUARANTINE_KEPT_ROW, ITEMS,
         "DELETE FROM transfer.quarantined_row WHERE \"table\" = 'knowledge_items'", key=ASIDE),
    _one("a quarantined row without need", FindingKind.QUARANTINE_KEPT_ROW, ITEMS,
         "INSERT INTO transfer.quarantined_row (file, \"table\", key, rowid, cells, reason, "
         "sentence, status, \"column\", repairs, note, decided_by) SELECT file, \"table\", '9', 9, "
         "cells, reason, sentence, 'accepted', '', '{}', '', '' FROM transfer.quarantined_row "
         "WHERE \"table\" = 'knowledge_items' LIMIT 1", f"DELETE FROM {RELATIONS}",
         f"DELETE FROM {ITEMS} WHERE id = 9", key=ITEM_KEY),
    Plant("a count", FindingKind.COUNT, FETCHED,
          (f"DELETE FROM {FETCHED} WHERE id = (SELECT max(id) FROM {FETCHED})",), level="counts"),
    _one("an index taken down", FindingKind.INDEX, ITEMS,
         "INSERT INTO transfer.dropped_object (relation, name, is_constraint, definition) VALUES "
         "('\"knowledge\".\"knowledge_items\"', 'some_index', false, 'CREATE')"),
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.what for plant in PLANTS])
def test_the_judge_finds_it(proven: Path, plant: Plant) -> None:
    with undone():
        key = query(plant.key)[0][0] if plant.key else None
        for statement in plant.sql:
            query(statement)
        result = judge(level=plant.level, selection=file_of(plant.where))
        found = [f for f in result.findings.kept if f.kind is plant.kind]
        assert (plant.where, key) in places(found), [f.sentence() for f in result.findings.kept]
        assert result.exit_status == 1


@pytest.mark.parametrize("level", ["full", "counts"])
def test_without_a_corruption_it_finds_nothing(proven: Path, level: str) -> None:
    result = judge(level=level)
    assert [f.sentence() for f in result.findings.kept] == []
    assert result.exit_status == 0


# Kinds that other parts say; their own tests plant them.
ELSEWHERE = {
    FindingKind.CONSERVATION: ("vector/test_vector_proof.py", "FindingKind.CONSERVATION"),
    FindingKind.ROUND_TRIP: ("transfer/verify/test_round_trip.py", "FindingKind.ROUND_TRIP"),
    FindingKind.INVENTORY: ("transfer/inventory/test_inventory.py", "FindingKind.INVENTORY"),
    FindingKind.MISSING_LEGACY: (
        "transfer/verify/test_missing_legacy.py",
        "FindingKind.MISSING_LEGACY",
    ),
}


def test_every_kind_has_a_plant() -> None:
    assert {plant.kind for plant in PLANTS} | set(ELSEWHERE) == set(FindingKind)
    tests = Path(__file__).resolve().parents[2]
    for place, words in ELSEWHERE.values():
        assert words in (tests / place).read_text()


def command(*arguments: str) -> tuple[int, str]:
    """(exit status, output) of the real command in this process."""
    out = StringIO()
    try:
        call_command("verify_migration", "--jobs", "1", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_a_server_that_quotes_every_name(proven: Path) -> None:
    with undone():
        query("SET quote_all_identifiers = on")
        assert judge().findings.kept == []


def test_the_command_says_where(proven: Path) -> None:
    assert command()[0] == 0
    with undone():
        query(f"UPDATE {ITEMS} SET access_count = access_count + 1 WHERE id = 9")
        status, text = command()
        assert status == 1
        assert f"value: {ITEMS}:access_count id=9 expected" in text
        answer = json.loads(command("--format", "json")[1])
        assert answer["findings"][0]["where"] == f"{ITEMS}:access_count"
        assert answer["exit_status"] == 1


def test_printed_findings_are_limited_and_all_are_counted(proven: Path) -> None:
    with undone():
        query(f"UPDATE {ITEMS} SET access_count = access_count + 1")
        rows = query(f"SELECT count(*) FROM {ITEMS}")[0][0]
        status, text = command("--max-findings", "2")
        assert status == 1
        assert text.count(f"value: {ITEMS}") == 2
        assert f"{rows - 2:,} more" in text
        assert len(json.loads(command("--format", "json")[1])["findings"]) == rows
