"""Differences of the target that are none: what it holds is what the legacy says."""

from __future__ import annotations

from pathlib import Path

from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine.decisions import accept, edit, retry
from tests.transfer.load.support import run_import
from tests.transfer.verify.corruptions.case import (
    ACCURACY,
    AUDIT,
    CONTINUUM,
    CYCLES,
    FETCHED,
    FORGOT,
    GOALS,
    ITEMS,
    KNOWLEDGE,
    LINKS,
    RSS,
    SCORES,
    SESSIONS,
    TIERS,
    TRENDS,
    Lawful,
    row_of,
)
from tests.transfer.verify.corruptions.quarantine import FETCHED_2_MENDED

TABLES = (ITEMS, SESSIONS, LINKS, SCORES, TRENDS, GOALS, TIERS, AUDIT, FORGOT, CYCLES, FETCHED)


def on_target(what: str, *sql: str, file: str = KNOWLEDGE) -> Lawful:
    """Something is done to one file's tables of the target."""
    return Lawful(what, sql, files=(file,))


def same(what: str, column: str, key: int, value: str) -> Lawful:
    """A cell of ITEMS is written again, otherwise and yet equal."""
    return on_target(what, f"UPDATE {ITEMS} SET {column} = {value} WHERE {row_of(ITEMS, key)}")


def in_session(what: str, *settings: str) -> Lawful:
    """The session of the judge has other settings."""
    return Lawful(what, tuple(f"SET LOCAL {setting}" for setting in settings))


def in_database(what: str, setting: str, value: str) -> Lawful:
    """Every session of this database has another setting."""
    change = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"
    return Lawful(
        what,
        once=(change.format(f"SET {setting} = {value}".replace("'", "''").replace("%", "%%")),),
        undo=(change.format(f"RESET {setting}"),),
    )


def for_role(what: str, setting: str, value: str) -> Lawful:
    """Every session of this role in this database has another setting."""
    change = (
        "DO $$ BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I {}', current_user, "
        "current_database()); END $$"
    )
    return Lawful(
        what,
        once=(change.format(f"SET {setting} = {value}".replace("'", "''").replace("%", "%%")),),
        undo=(change.format(f"RESET {setting}"),),
    )


def _record(key: str) -> QuarantinedRow:
    return QuarantinedRow.objects.get(table="knowledge_items", key=key)


def _mend_under_another_key(folder: Path) -> None:
    row = _record("58")
    edit("default", row, "content", "mended", "text")
    edit("default", row, "id", "158", "integer")
    assert retry("default", [row]).loaded == (row.pk,)


def _mend(folder: Path) -> None:
    row = _record("58")
    edit("default", row, "content", "mended", "text")
    assert retry("default", [row]).loaded == (row.pk,)


def _edit_without_retry(folder: Path) -> None:
    edit("default", _record("50"), "content", "not tried yet", "text")


def _accept_again(folder: Path) -> None:
    accept("default", [_record("50")], "seen by somebody else", "another")


def _retry_in_vain(folder: Path) -> None:
    row = _record("50")
    assert retry("default", [row]).loaded == ()
    accept("default", [_record("50")], "still bad")


def _import_again(**options: object) -> object:
    return lambda folder: run_import(**options)


# fmt: off
STORED = [
    on_target("a row updated to itself", f"UPDATE {ITEMS} SET content = content WHERE id = 9"),
    on_target("every row updated to itself", *(f"UPDATE {table} SET created_at = created_at" for table in (ITEMS, SESSIONS, LINKS))),
    on_target("the rows in another order on disk", f"CREATE TEMP TABLE moved ON COMMIT DROP AS TABLE {SCORES}", f"DELETE FROM {SCORES}",
              f"INSERT INTO {SCORES} SELECT * FROM moved ORDER BY id DESC", file=ACCURACY),
    on_target("text keys in another order on disk", f"CREATE TEMP TABLE moved ON COMMIT DROP AS TABLE {TIERS}", f"TRUNCATE {TIERS}",
              f"INSERT INTO {TIERS} SELECT * FROM moved ORDER BY tier", file=CONTINUUM),
    on_target("a row deleted and written again", f"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM {ITEMS} WHERE id = 60",
              f"DELETE FROM {ITEMS} WHERE id = 60", f"INSERT INTO {ITEMS} SELECT * FROM kept"),
    on_target("a row moved away and back", f"UPDATE {ITEMS} SET id = -60 WHERE id = 60", f"UPDATE {ITEMS} SET id = 60 WHERE id = -60"),
    on_target("an index built again", "REINDEX INDEX knowledge.idx_knowledge_items_created_at"),
    on_target("every index of a table built again", f"REINDEX TABLE {ITEMS}"),
    on_target("a declared index dropped and made again", "DROP INDEX accuracy.idx_accuracy_scores_created_at",
              f"CREATE INDEX idx_accuracy_scores_created_at ON {SCORES} (created_at)", file=ACCURACY),
    on_target("a table clustered by an index", f"CLUSTER {FETCHED} USING idx_rss_fetch_items_fetched", f"ALTER TABLE {FETCHED} SET WITHOUT CLUSTER", file=RSS),
    on_target("other statistics", f"ALTER TABLE {ITEMS} ALTER COLUMN content SET STATISTICS 10", f"ANALYZE {ITEMS}"),
    on_target("no statistics", f"DELETE FROM pg_statistic WHERE starelid = '{ITEMS}'::regclass"),
    on_target("texts stored outside", f"ALTER TABLE {ITEMS} ALTER COLUMN content SET STORAGE EXTERNAL", f"UPDATE {ITEMS} SET content = content || ''"),
    on_target("texts compressed otherwise", f"ALTER TABLE {ITEMS} ALTER COLUMN content SET COMPRESSION pglz", f"UPDATE {ITEMS} SET content = content || ''"),
    on_target("room left on pages", f"ALTER TABLE {ITEMS} SET (fillfactor = 50, autovacuum_enabled = false)"),
    on_target("comments", f"COMMENT ON TABLE {ITEMS} IS 'moved'", f"COMMENT ON COLUMN {ITEMS}.content IS 'text'"),
    on_target("grants", f"GRANT SELECT ON {ITEMS} TO PUBLIC", "GRANT USAGE ON SCHEMA knowledge TO PUBLIC"),
    on_target("another owner", f"ALTER TABLE {ITEMS} OWNER TO pg_database_owner"),
    Lawful("tables written again by VACUUM FULL", once=tuple(f"VACUUM (FULL, ANALYZE) {table}" for table in TABLES)),
    Lawful("tables frozen by VACUUM", once=tuple(f"VACUUM (FREEZE) {table}" for table in TABLES)),
]

ELSEWHERE = [
    on_target("a plain index more", f"CREATE INDEX more ON {ITEMS} (source)"),
    on_target("an index of an expression more", f"CREATE INDEX more ON {ITEMS} (lower(source)) WHERE id > 3"),
    on_target("statistics over columns", f"CREATE STATISTICS knowledge.both ON source, content FROM {ITEMS}"),
    on_target("a view of a table", f"CREATE VIEW knowledge.recent AS SELECT id, content FROM {ITEMS}"),
    on_target("a table of the same name in another schema", f"CREATE TABLE public.knowledge_items AS TABLE {ITEMS}", "DELETE FROM public.knowledge_items WHERE id < 20"),
    on_target("a table of somebody's own in the schema", "CREATE TABLE knowledge.my_notes (note text)", "INSERT INTO knowledge.my_notes VALUES ('x')"),
    on_target("a table that refers to one of ours", f"CREATE TABLE public.more (item_id bigint REFERENCES {ITEMS})", "INSERT INTO public.more VALUES (9)"),
    on_target("a schema of somebody's own", "CREATE SCHEMA own", "CREATE TABLE own.t (a int)", "INSERT INTO own.t VALUES (1)"),
    on_target("a temporary table of the same name", f"CREATE TEMP TABLE knowledge_items ON COMMIT DROP AS SELECT * FROM {ITEMS} LIMIT 3", "SET LOCAL search_path = pg_temp, knowledge"),
    on_target("a sequence that is ahead", f"ALTER TABLE {CYCLES} ALTER COLUMN id RESTART WITH 100000", file=RSS),
    on_target("a sequence just above the legacy's mark", f"ALTER TABLE {ITEMS} ALTER COLUMN id RESTART WITH 201"),
]

SPELLED = [
    same("the keys of a document in another order", "metadata", 1, "'{\"s\": \"a\", \"list\": [1, 2, 1], \"n\": 1}'"),
    same("a document with other white space", "metadata", 1, "' { \"n\":1,\\n\"s\" : \"a\",\"list\":[ 1,2 ,1]}'".replace("\\n", " ")),
    same("a JSON number with zeros behind", "metadata", 1, "'{\"n\": 1.00, \"s\": \"a\", \"list\": [1.0, 2, 1]}'"),
    same("a JSON number with an exponent", "metadata", 38, "'50e-1'"),
    same("a JSON number of 41 digits with an exponent", "metadata", 25, "'{\"big\": 1e40, \"long\": 0.123456789012345678901234567891}'"),
    same("a JSON number of 30 decimals with zeros behind", "metadata", 25, "jsonb_set(metadata, '{long}', '0.1234567890123456789012345678910')"),
    same("a JSON zero with a sign", "metadata", 42, "jsonb_set(metadata, '{d,l,0,x}', '-0.0')"),
    same("a JSON text in escapes", "metadata", 36, "'\"\\u0074ext\"'"),
    same("an undeclared integer with zeros behind", "legacy_extra", 35, "jsonb_build_object('ghi ch\u00fa', 9007199254740993.0)"),
    same("a double spelled otherwise", "confidence_score", 20, "'0.3000000000000000444'"),
    same("a time of another zone", "created_at", 2, "'2025-01-10 10:02:00+01'"),
]

RECORDS = [
    on_target("no records of chunks", "DELETE FROM transfer.chunk"),
    on_target("no marks of writes", "DELETE FROM transfer.write_mark"),
    on_target("no records of earlier proofs", "DELETE FROM transfer.proof"),
    on_target("no counts of earlier runs", "DELETE FROM transfer.run_table"),
    on_target("chunks with other numbers", "UPDATE transfer.chunk SET digest = 'x', legacy_rows = 1, loaded = 1"),
    on_target("records of no run", "UPDATE transfer.kept_cell SET run_id = NULL", "UPDATE transfer.quarantined_row SET run_id = NULL"),
    on_target("other notes of decisions", "UPDATE transfer.quarantined_row SET note = 'other', decided_by = 'other', decided_at = now()"),
    on_target("records of other numbers", "UPDATE transfer.kept_cell SET id = id + 100000", "UPDATE transfer.quarantined_row SET id = id + 100000"),
    on_target("records of rows that moved in the file", "UPDATE transfer.quarantined_row SET rowid = rowid + 1000 WHERE \"table\" = 'knowledge_items'"),
    on_target("a row that was refused once and was loaded since", FETCHED_2_MENDED, file=RSS),
    Lawful("a row mended under its own key", (_mend,), files=(KNOWLEDGE,)),
    Lawful("a row mended under another key, a second cell of it repaired", (_mend_under_another_key,), files=(KNOWLEDGE,)),
    Lawful("an edit that was not tried", (_edit_without_retry,), files=(KNOWLEDGE,)),
    Lawful("a row tried again in vain", (_retry_in_vain,), files=(KNOWLEDGE,)),
    Lawful("a row accepted by somebody else", (_accept_again,), files=(KNOWLEDGE,)),
    Lawful("imported again", once=(_import_again(),)),
    Lawful("imported again in chunks of 7 rows", once=(_import_again(chunk_rows=7),)),
    Lawful("imported again over everything", once=(_import_again(overwrite=True),)),
]

SETTINGS = [
    Lawful("numbers that turn into texts by themselves", ("CREATE CAST (integer AS text) WITH INOUT AS IMPLICIT", "CREATE CAST (bigint AS text) WITH INOUT AS IMPLICIT",
           "CREATE CAST (numeric AS text) WITH INOUT AS IMPLICIT", "CREATE CAST (timestamptz AS text) WITH INOUT AS IMPLICIT")),
    in_session("a session far in the east", "TimeZone = 'Pacific/Kiritimati'"),
    in_session("a session with a summer's time", "TimeZone = 'Europe/Berlin'"),
    in_session("a session with few digits", "extra_float_digits = -15"),
    in_session("a session that escapes bytes", "bytea_output = 'escape'"),
    in_session("a session with backslashes in strings", "standard_conforming_strings = off", "escape_string_warning = off", "backslash_quote = off"),
    in_session("a session that quotes every name", "quote_all_identifiers = on"),
    in_session("a session that compares NULL by =", "transform_null_equals = on", "array_nulls = off"),
    in_session("a session of another path", "search_path = public, pg_catalog"),
    in_session("a session without sequential scans", "enable_seqscan = off", "enable_sort = off", "enable_hashjoin = off"),
    in_session("a session without indexes", "enable_indexscan = off", "enable_bitmapscan = off", "enable_indexonlyscan = off"),
    in_session("a session with little memory", "work_mem = '64kB'", "hash_mem_multiplier = 1"),
    in_session("a session that compiles everything", "jit = on", "jit_above_cost = 0"),
    in_session("a session in parallel", "parallel_setup_cost = 0", "parallel_tuple_cost = 0", "min_parallel_table_scan_size = 0"),
    in_session("a session of other money and messages", "lc_monetary = 'C'", "lc_numeric = 'C'", "lc_messages = 'C'"),
    in_session("a session that shows rows to all", "row_security = off"),
    in_database("a database in Tokyo", "TimeZone", "'Asia/Tokyo'"),
    in_database("a database that writes months first", "DateStyle", "'Postgres, MDY'"),
    in_database("a database that writes days first", "DateStyle", "'SQL, DMY'"),
    in_database("a database of German dates", "DateStyle", "'German'"),
    in_database("a database of other intervals", "IntervalStyle", "'sql_standard'"),
    in_database("a database with few digits", "extra_float_digits", "0"),
    in_database("a database with backslashes in strings", "standard_conforming_strings", "off"),
    in_database("a database that escapes bytes", "bytea_output", "'escape'"),
    in_database("a database of another path", "search_path", "rss, knowledge"),
    in_database("a database that speaks Latin-1", "client_encoding", "'LATIN1'"),
    for_role("a role whose transactions are serializable", "default_transaction_isolation", "'serializable'"),
    for_role("a role with another path", "search_path", "transfer, continuum"),
    for_role("a role that prepares everything", "plan_cache_mode", "'force_generic_plan'"),
]
# fmt: on

CASES: list[Lawful] = [*STORED, *ELSEWHERE, *SPELLED, *RECORDS, *SETTINGS]
