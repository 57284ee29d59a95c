"""Every structural difference is found with its kind and place; legal ones are no finding.

One line of a table is one difference: what it is, the kind and the place of the finding, the SQL
that plants it. `{fk}` in the SQL is the name of the foreign key of rss.fetch_items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from django.db import connection

from stillme.transfer.findings import FindingKind
from stillme.transfer.inventory.selection import Selection
from tests.transfer.load.support import query
from tests.transfer.verify.support import file_of, judge, undone

pytestmark = pytest.mark.django_db

ITEMS, SCORES = "knowledge.knowledge_items", "accuracy.accuracy_scores"
FETCHED, CYCLES = "rss.fetch_items", "rss.fetch_cycles"
TIERS, TRENDS = "continuum.tier_metrics", "accuracy.performance_trends"
TABLE, COLUMN, INDEX = FindingKind.TABLE, FindingKind.COLUMN, FindingKind.INDEX
CONSTRAINT, FOREIGN_KEY = FindingKind.CONSTRAINT, FindingKind.FOREIGN_KEY
SEQUENCE, MISSING = FindingKind.SEQUENCE, FindingKind.MISSING_TABLE

_FUNCTION = (
    "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
)
_AS_OTHER = f"ALTER TABLE {SCORES} RENAME TO others"
_COPY = "CREATE TABLE {} (LIKE accuracy.others INCLUDING ALL)"
_NEW_KEY = (
    f"ALTER TABLE {FETCHED} DROP CONSTRAINT {{fk}}",
    f"ALTER TABLE {FETCHED} ADD CONSTRAINT {{fk}} FOREIGN KEY (cycle_id) REFERENCES {CYCLES} (id)",
)
_INDEX = "idx_rss_fetch_cycles_status"
_PRIMARY = f"indrelid = '{TRENDS}'::regclass AND indisprimary"
_ADD_INDEX = (f"DROP INDEX rss.{_INDEX}", f"CREATE INDEX {_INDEX} ON {CYCLES}")

Planted = tuple[str, FindingKind, str, Sequence[str]]
PLANTED: list[Planted] = [
    # What the table is.
    ("a view in its place", MISSING, SCORES,
     [_AS_OTHER, f"CREATE VIEW {SCORES} AS SELECT * FROM accuracy.others"]),
    ("a view in the place of a parent", MISSING, CYCLES,
     [f"ALTER TABLE {CYCLES} RENAME TO others",
      f"CREATE VIEW {CYCLES} AS SELECT started_at FROM rss.others"]),
    ("a materialized view in its place", MISSING, SCORES,
     [_AS_OTHER, f"CREATE MATERIALIZED VIEW {SCORES} AS SELECT * FROM accuracy.others"]),
    ("a foreign table in its place", MISSING, TRENDS,
     [f"ALTER TABLE {TRENDS} RENAME TO others",
      "CREATE FOREIGN DATA WRAPPER elsewhere", "CREATE SERVER there FOREIGN DATA WRAPPER elsewhere",
      f"CREATE FOREIGN TABLE {TRENDS} (id bigint) SERVER there"]),
    ("a partitioned table in its place", MISSING, SCORES,
     [_AS_OTHER, "CREATE TABLE accuracy.accuracy_scores (LIKE accuracy.others INCLUDING DEFAULTS) "
      "PARTITION BY HASH (id)"]),
    ("a sequence in its place", MISSING, SCORES, [_AS_OTHER, f"CREATE SEQUENCE {SCORES}"]),
    ("a table of that name elsewhere", MISSING, SCORES,
     [_AS_OTHER, _COPY.format("pg_temp.accuracy_scores")]),
    ("a child", TABLE, TRENDS, [f"CREATE TABLE public.child () INHERITS ({TRENDS})"]),
    ("a child with rows", TABLE, ITEMS,
     [f"CREATE TABLE public.child () INHERITS ({ITEMS})",
      f"INSERT INTO public.child SELECT * FROM {ITEMS} ORDER BY id DESC LIMIT 1"]),
    ("a parent", TABLE, TRENDS,
     ["CREATE TABLE public.parent (context text)", f"ALTER TABLE {TRENDS} INHERIT public.parent"]),
    ("a partition", TABLE, TRENDS,
     [f"CREATE TABLE public.parted (LIKE {TRENDS}) PARTITION BY RANGE (id)",
      f"ALTER TABLE {TRENDS} ALTER id DROP IDENTITY",
      f"ALTER TABLE public.parted ATTACH PARTITION {TRENDS} DEFAULT"]),
    ("unlogged", TABLE, TRENDS, [f"ALTER TABLE {TRENDS} SET UNLOGGED"]),
    # What acts on reads and writes.
    ("row-level security", TABLE, ITEMS, [f"ALTER TABLE {ITEMS} ENABLE ROW LEVEL SECURITY"]),
    ("row-level security for the owner too", TABLE, ITEMS,
     [f"ALTER TABLE {ITEMS} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
      f"CREATE POLICY most ON {ITEMS} USING (id <> 9)"]),
    ("a rule", TABLE, ITEMS, [f"CREATE RULE nothing AS ON DELETE TO {ITEMS} DO INSTEAD NOTHING"]),
    ("a rule on insert", TABLE, TIERS,
     [f"CREATE RULE nothing AS ON INSERT TO {TIERS} DO INSTEAD NOTHING"]),
    ("a trigger", TABLE, ITEMS,
     [_FUNCTION, f"CREATE TRIGGER meddle BEFORE INSERT ON {ITEMS} FOR EACH ROW "
      "EXECUTE FUNCTION public.meddle()"]),
    ("a trigger that is off", TABLE, ITEMS,
     [_FUNCTION, f"CREATE TRIGGER meddle BEFORE UPDATE ON {ITEMS} FOR EACH ROW "
      "EXECUTE FUNCTION public.meddle()", f"ALTER TABLE {ITEMS} DISABLE TRIGGER meddle"]),
    ("a trigger under the engine's name", TABLE, ITEMS,
     [_FUNCTION, f"CREATE TRIGGER stillme_capture_insert AFTER INSERT ON {ITEMS} FOR EACH ROW "
      "EXECUTE FUNCTION public.meddle()"]),
    ("a trigger that fails", TABLE, ITEMS,
     ["CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS "
      "'BEGIN PERFORM 1 / 0; RETURN NEW; END'",
      f"CREATE TRIGGER meddle BEFORE INSERT ON {ITEMS} FOR EACH ROW "
      "EXECUTE FUNCTION public.meddle()"]),
    ("a constraint trigger", TABLE, ITEMS,
     [_FUNCTION, f"CREATE CONSTRAINT TRIGGER meddle AFTER INSERT ON {ITEMS} DEFERRABLE "
      "FOR EACH ROW EXECUTE FUNCTION public.meddle()"]),
    ("no triggers behind a foreign key", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [f"ALTER TABLE {FETCHED} DISABLE TRIGGER ALL"]),
    ("no triggers at the parent", FOREIGN_KEY, CYCLES,
     [f"ALTER TABLE {CYCLES} DISABLE TRIGGER ALL"]),
    ("sessions that check no foreign key", TABLE, ITEMS,
     ["SET LOCAL session_replication_role = replica"]),
    # Columns.
    ("a dropped column", COLUMN, f"{ITEMS}:access_count",
     [f"ALTER TABLE {ITEMS} DROP access_count"]),
    ("a key column of another name", COLUMN, f"{CYCLES}:id",
     [f"ALTER TABLE {CYCLES} RENAME id TO number"]),
    ("a column too many", COLUMN, f"{ITEMS}:surplus",
     [f"ALTER TABLE {ITEMS} ADD surplus text NOT NULL DEFAULT ''"]),
    ("another type", COLUMN, f"{ITEMS}:metadata",
     [f"ALTER TABLE {ITEMS} ALTER metadata DROP DEFAULT, ALTER metadata TYPE json"]),
    ("a key of another type", COLUMN, f"{CYCLES}:id",
     [f"ALTER TABLE {FETCHED} DROP CONSTRAINT {{fk}}",
      f"ALTER TABLE {CYCLES} ALTER id DROP IDENTITY",
      f"ALTER TABLE {CYCLES} ALTER id TYPE text"]),
    ("a limit of length", COLUMN, f"{TRENDS}:context",
     [f"ALTER TABLE {TRENDS} ALTER context TYPE varchar(9000)"]),
    ("times of another precision", COLUMN, f"{ITEMS}:created_at",
     [f"ALTER TABLE {ITEMS} ALTER created_at TYPE timestamptz(6)"]),
    ("a domain", COLUMN, f"{ITEMS}:source",
     ["CREATE DOMAIN public.words AS text", f"ALTER TABLE {ITEMS} ALTER source TYPE public.words"]),
    ("a domain that bears the type's name", COLUMN, f"{ITEMS}:source",
     ["CREATE DOMAIN knowledge.text AS text",
      f"ALTER TABLE {ITEMS} ALTER source TYPE knowledge.text",
      "SET LOCAL search_path = knowledge, public"]),
    ("NULL allowed", COLUMN, f"{ITEMS}:source",
     [f"ALTER TABLE {ITEMS} ALTER source DROP NOT NULL"]),
    ("NULL refused", COLUMN, f"{ITEMS}:confidence_score",
     [f"UPDATE {ITEMS} SET confidence_score = 0 WHERE confidence_score IS NULL",
      f"ALTER TABLE {ITEMS} ALTER confidence_score SET NOT NULL"]),
    ("another collation", COLUMN, f"{ITEMS}:source",
     [f'ALTER TABLE {ITEMS} ALTER source TYPE text COLLATE "C"']),
    ("a text key of another collation", COLUMN, f"{TIERS}:item_id",
     [f'ALTER TABLE {TIERS} ALTER item_id TYPE text COLLATE "C"']),
    ("a default where none is declared", COLUMN, f"{ITEMS}:content",
     [f"ALTER TABLE {ITEMS} ALTER content SET DEFAULT ''"]),
    ("another default", COLUMN, f"{ITEMS}:metadata",
     [f"ALTER TABLE {ITEMS} ALTER metadata SET DEFAULT '[]'"]),
    ("no default", COLUMN, f"{ITEMS}:created_at",
     [f"ALTER TABLE {ITEMS} ALTER created_at DROP DEFAULT"]),
    ("a generated column", COLUMN, f"{TRENDS}:context",
     [f"ALTER TABLE {TRENDS} DROP context",
      f"ALTER TABLE {TRENDS} ADD context text GENERATED ALWAYS AS (NULL::text) STORED"]),
    ("identity ALWAYS", COLUMN, f"{ITEMS}:id",
     [f"ALTER TABLE {ITEMS} ALTER id SET GENERATED ALWAYS"]),
    ("no identity", COLUMN, f"{ITEMS}:id", [f"ALTER TABLE {ITEMS} ALTER id DROP IDENTITY"]),
    ("a serial in place of the identity", COLUMN, f"{ITEMS}:id",
     [f"ALTER TABLE {ITEMS} ALTER id DROP IDENTITY",
      f"CREATE SEQUENCE knowledge.other START 100000 OWNED BY {ITEMS}.id",
      f"ALTER TABLE {ITEMS} ALTER id SET DEFAULT nextval('knowledge.other')"]),
    # Sequences.
    ("another increment", SEQUENCE, f"{ITEMS}:id",
     [f"ALTER TABLE {ITEMS} ALTER id SET INCREMENT BY 2"]),
    ("another minimum", SEQUENCE, f"{ITEMS}:id",
     [f"ALTER TABLE {ITEMS} ALTER id SET MINVALUE -5"]),
    ("another maximum", SEQUENCE, f"{ITEMS}:id",
     [f"ALTER TABLE {ITEMS} ALTER id SET MAXVALUE 2147483647"]),
    ("a sequence that starts again", SEQUENCE, f"{ITEMS}:id",
     [f"ALTER TABLE {ITEMS} ALTER id SET CYCLE"]),
    ("ids given out in batches", SEQUENCE, f"{ITEMS}:id",
     [f"ALTER TABLE {ITEMS} ALTER id SET CACHE 50"]),
    ("a sequence of another type", SEQUENCE, f"{ITEMS}:id",
     ["ALTER SEQUENCE knowledge.knowledge_items_id_seq AS integer"]),
    ("a sequence that is not logged", SEQUENCE, f"{ITEMS}:id",
     ["ALTER SEQUENCE knowledge.knowledge_items_id_seq SET UNLOGGED"]),
    ("a second sequence", SEQUENCE, f"{ITEMS}:id",
     [f"CREATE SEQUENCE knowledge.other OWNED BY {ITEMS}.id"]),
    # Constraints.
    ("an extra check", CONSTRAINT, ITEMS, [f"ALTER TABLE {ITEMS} ADD CHECK (id <> -1)"]),
    ("an extra unique constraint", CONSTRAINT, CYCLES,
     [f"ALTER TABLE {CYCLES} ADD UNIQUE (id, status)"]),
    ("an exclusion constraint", CONSTRAINT, ITEMS,
     [f"ALTER TABLE {ITEMS} ADD EXCLUDE USING btree (id WITH =)"]),
    ("a primary key of two columns", CONSTRAINT, TRENDS,
     [f"ALTER TABLE {TRENDS} DROP CONSTRAINT performance_trends_pkey, "
      "ADD PRIMARY KEY (id, metric_name)"]),
    ("a primary key that waits", CONSTRAINT, TRENDS,
     [f"ALTER TABLE {TRENDS} DROP CONSTRAINT performance_trends_pkey, "
      "ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED"]),
    ("no primary key", CONSTRAINT, TRENDS,
     [f"ALTER TABLE {TRENDS} DROP CONSTRAINT performance_trends_pkey"]),
    ("a check never validated", CONSTRAINT, ITEMS,
     [f"ALTER TABLE {ITEMS} ADD CONSTRAINT late CHECK (id > 0) NOT VALID"]),
    ("no foreign key", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [f"ALTER TABLE {FETCHED} DROP CONSTRAINT {{fk}}"]),
    ("a foreign key that deletes", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [_NEW_KEY[0], f"{_NEW_KEY[1]} ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"]),
    ("a foreign key that does not wait", FOREIGN_KEY, f"{FETCHED}:cycle_id", _NEW_KEY),
    ("a foreign key to another parent", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [_NEW_KEY[0], "CREATE TABLE public.fetch_cycles (id bigint PRIMARY KEY)",
      f"INSERT INTO public.fetch_cycles SELECT id FROM {CYCLES}",
      f"ALTER TABLE {FETCHED} ADD CONSTRAINT {{fk}} FOREIGN KEY (cycle_id) REFERENCES "
      "public.fetch_cycles DEFERRABLE INITIALLY DEFERRED"]),
    ("a second foreign key", FOREIGN_KEY, f"{TRENDS}:id",
     [f"CREATE TABLE public.parent AS SELECT id FROM {TRENDS}",
      "ALTER TABLE public.parent ADD PRIMARY KEY (id)",
      f"ALTER TABLE {TRENDS} ADD FOREIGN KEY (id) REFERENCES public.parent"]),
    # Indexes.
    ("no index", INDEX, CYCLES, [f"DROP INDEX rss.{_INDEX}"]),
    ("an index of other columns", INDEX, CYCLES, [_ADD_INDEX[0], f"{_ADD_INDEX[1]} (status, id)"]),
    ("an index of another method", INDEX, CYCLES,
     [_ADD_INDEX[0], f"{_ADD_INDEX[1]} USING hash (status)"]),
    ("an index of some rows", INDEX, CYCLES,
     [_ADD_INDEX[0], f"{_ADD_INDEX[1]} (status) WHERE id > 5"]),
    ("an index in another order", INDEX, CYCLES, [_ADD_INDEX[0], f"{_ADD_INDEX[1]} (status DESC)"]),
    ("an index of another operator class", INDEX, CYCLES,
     [_ADD_INDEX[0], f"{_ADD_INDEX[1]} (status text_pattern_ops)"]),
    ("an index of another collation", INDEX, CYCLES,
     [_ADD_INDEX[0], f'{_ADD_INDEX[1]} (status COLLATE "C")']),
    ("an index with NULL first", INDEX, CYCLES,
     [_ADD_INDEX[0], f"{_ADD_INDEX[1]} (status NULLS FIRST)"]),
    ("an index that is unique", INDEX, CYCLES,
     ["DROP INDEX rss.idx_rss_fetch_cycles_started_at",
      f"CREATE UNIQUE INDEX idx_rss_fetch_cycles_started_at ON {CYCLES} (started_at, id)"]),
    ("an extra unique index", INDEX, CYCLES,
     [f"CREATE UNIQUE INDEX once ON {CYCLES} (id, status)"]),
    ("an index that is not ready", INDEX, CYCLES,
     [f"UPDATE pg_index SET indisready = false WHERE indexrelid = 'rss.{_INDEX}'::regclass"]),
    ("an index that is not valid", INDEX, CYCLES,
     [f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rss.{_INDEX}'::regclass"]),
    # The catalogue still declares it, and nothing enforces it.
    ("a primary key that lets keys in twice", CONSTRAINT, TRENDS,
     [f"UPDATE pg_index SET indisunique = false WHERE {_PRIMARY}"]),
    ("a primary key that is none", CONSTRAINT, TRENDS,
     [f"UPDATE pg_index SET indisprimary = false WHERE {_PRIMARY}"]),
    ("a primary key that looks later", CONSTRAINT, TRENDS,
     [f"UPDATE pg_index SET indimmediate = false WHERE {_PRIMARY}"]),
    ("a foreign key without its triggers", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [f"DELETE FROM pg_trigger WHERE tgrelid = '{FETCHED}'::regclass"]),
    ("a foreign key without triggers at the parent", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [f"DELETE FROM pg_trigger WHERE tgrelid = '{CYCLES}'::regclass"]),
    ("a foreign key that looks at once", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     ["UPDATE pg_trigger SET tgdeferrable = false, tginitdeferred = false "
      f"WHERE tgrelid = '{FETCHED}'::regclass"]),
    ("a foreign key that calls something else", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     ["UPDATE pg_trigger SET tgfoid = '\"RI_FKey_noaction_upd\"'::regproc "
      f"WHERE tgrelid = '{FETCHED}'::regclass"]),
    ("a foreign key that looks at some updates", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [f"UPDATE pg_trigger SET tgattr = '3' WHERE tgrelid = '{FETCHED}'::regclass"]),
    ("a foreign key that looks in another table", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [f"UPDATE pg_trigger SET tgconstrrelid = '{ITEMS}'::regclass "
      f"WHERE tgrelid = '{FETCHED}'::regclass"]),
    ("a foreign key that compares otherwise", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     ["UPDATE pg_constraint SET conpfeqop = '{411}' WHERE contype = 'f' "
      f"AND conrelid = '{FETCHED}'::regclass"]),
    ("a primary key that excludes", CONSTRAINT, TRENDS,
     [f"UPDATE pg_index SET indisexclusion = true WHERE {_PRIMARY}"]),
    ("a trigger that passes for PostgreSQL's own", TABLE, ITEMS,
     [_FUNCTION, f"CREATE TRIGGER meddle BEFORE INSERT ON {ITEMS} FOR EACH ROW "
      "EXECUTE FUNCTION public.meddle()",
      "UPDATE pg_trigger SET tgisinternal = true WHERE tgname = 'meddle'"]),
    ("a trigger that passes for a constraint's", TABLE, ITEMS,
     [_FUNCTION, f"CREATE TRIGGER meddle BEFORE INSERT ON {ITEMS} FOR EACH ROW "
      "EXECUTE FUNCTION public.meddle()",
      "UPDATE pg_trigger SET tgisinternal = true, tgconstraint = (SELECT oid FROM pg_constraint "
      f"WHERE contype = 'p' AND conrelid = '{ITEMS}'::regclass) WHERE tgname = 'meddle'"]),
    ("a rule that passes for a view's", TABLE, ITEMS,
     [f"CREATE RULE nothing AS ON INSERT TO {ITEMS} DO INSTEAD NOTHING",
      "UPDATE pg_rewrite SET rulename = '_RETURN' WHERE rulename = 'nothing'"]),
    ("a default that is not used", COLUMN, f"{ITEMS}:access_count",
     [f"UPDATE pg_attribute SET atthasdef = false WHERE attrelid = '{ITEMS}'::regclass "
      "AND attname = 'access_count'"]),
    ("indexes that are not used", TABLE, TRENDS,
     [f"UPDATE pg_class SET relhasindex = false WHERE oid = '{TRENDS}'::regclass"]),
    ("triggers that are not used", TABLE, FETCHED,
     [f"UPDATE pg_class SET relhastriggers = false WHERE oid = '{FETCHED}'::regclass"]),
    ("checks that are not used", TABLE, TIERS,
     [f"UPDATE pg_class SET relchecks = 0 WHERE oid = '{TIERS}'::regclass"]),
]  # fmt: skip
PLANTED_ON_18: list[Planted] = [
    ("a foreign key not enforced", FOREIGN_KEY, f"{FETCHED}:cycle_id",
     [_NEW_KEY[0], f"{_NEW_KEY[1]} NOT ENFORCED"]),
    ("a check not enforced", CONSTRAINT, ITEMS,
     [f"ALTER TABLE {ITEMS} ADD CONSTRAINT idle CHECK (id < 0) NOT ENFORCED"]),
    ("a virtual column", COLUMN, f"{TRENDS}:context",
     [f"ALTER TABLE {TRENDS} DROP context",
      f"ALTER TABLE {TRENDS} ADD context text GENERATED ALWAYS AS (NULL::text) VIRTUAL"]),
    ("a foreign key not enforced, though validated", CONSTRAINT, FETCHED,
     ["UPDATE pg_constraint SET conenforced = false WHERE contype = 'f' "
      f"AND conrelid = '{FETCHED}'::regclass"]),
    ("NOT NULL never validated", CONSTRAINT, ITEMS,
     [f"ALTER TABLE {ITEMS} ADD CONSTRAINT late NOT NULL confidence_score NOT VALID"]),
]  # fmt: skip


def _needs(version: int, planted: Planted) -> object:
    return pytest.param(*planted, version, id=planted[0])


@pytest.mark.slow_after(1, by="kind")
@pytest.mark.parametrize(
    ("what", "kind", "where", "sql", "version"),
    [*(_needs(15, each) for each in PLANTED), *(_needs(18, each) for each in PLANTED_ON_18)],
)
def test_a_difference_is_found(
    proven: Path, what: str, kind: FindingKind, where: str, sql: Sequence[str], version: int
) -> None:
    _skip_below(version)
    with undone():
        _run(sql)
        result = judge(selection=file_of(where))
    found = [finding.sentence() for finding in result.findings.kept]
    assert (kind, where) in {(f.kind, f.where) for f in result.findings.kept}, found
    assert result.exit_status == 1


# What readers and writers cannot see, and what the notice of it says; "" where nothing is said.
LEGAL: list[tuple[str, str, Sequence[str]]] = [
    ("an index of somebody's", "more: index USING btree (source)",
     [f"CREATE INDEX more ON {ITEMS} (source)"]),
    ("an index of some rows of somebody's", "index USING btree (id) WHERE (id > 5)",
     [f"CREATE INDEX more ON {ITEMS} (id) WHERE id > 5"]),
    ("comments", "",
     [f"COMMENT ON TABLE {ITEMS} IS 'ours'", f"COMMENT ON COLUMN {ITEMS}.id IS 'x'"]),
    ("another owner", "", ["CREATE ROLE keeper", f"ALTER TABLE {ITEMS} OWNER TO keeper"]),
    ("storage parameters", "", [f"ALTER TABLE {ITEMS} SET (fillfactor = 70)"]),
    ("storage parameters of an index", "", [f"ALTER INDEX rss.{_INDEX} SET (fillfactor = 70)"]),
    ("storage of a column", "", [f"ALTER TABLE {ITEMS} ALTER content SET STORAGE EXTERNAL"]),
    ("statistics of a column", "", [f"ALTER TABLE {ITEMS} ALTER content SET STATISTICS 500"]),
    ("extended statistics", "",
     [f"CREATE STATISTICS knowledge.both ON source, knowledge_type FROM {ITEMS}"]),
    ("clustered", "", [f"ALTER TABLE {CYCLES} CLUSTER ON {_INDEX}"]),
    ("an event trigger", "",
     ["CREATE FUNCTION public.see() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
      "CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION public.see()"]),
    ("a view over it", "", [f"CREATE VIEW public.seen AS SELECT * FROM {ITEMS}"]),
    ("rights", "", ["CREATE ROLE reader", f"GRANT SELECT ON {ITEMS} TO reader"]),
    ("another name of the primary key", "",
     [f"ALTER TABLE {ITEMS} RENAME CONSTRAINT knowledge_items_pkey TO once"]),
    ("another name of a foreign key", "",
     [f"ALTER TABLE {FETCHED} RENAME CONSTRAINT {{fk}} TO up"]),
    ("another name of the sequence", "",
     ["ALTER SEQUENCE knowledge.knowledge_items_id_seq RENAME TO numbers"]),
    ("a replica identity", "", [f"ALTER TABLE {ITEMS} REPLICA IDENTITY FULL"]),
    ("a publication", "", [f"CREATE PUBLICATION everything FOR TABLE {ITEMS}"]),
    ("a temporary table of its name", "made no temporary table",
     ["CREATE TEMPORARY TABLE knowledge_items (id text)"]),
    ("a table of its name on the path", "",
     ["CREATE TABLE public.knowledge_items (id text)", "SET LOCAL search_path = public"]),
    ("an empty path", "", ["SET LOCAL search_path = ''"]),
    ("a path of odd names", "", ['SET LOCAL search_path = "$user", "no such", knowledge']),
    ("every name quoted", "", ["SET quote_all_identifiers = on"]),
    ("columns in another order", "",
     [f"ALTER TABLE {CYCLES} ADD late text", f"UPDATE {CYCLES} SET late = error_message",
      f"ALTER TABLE {CYCLES} DROP error_message",
      f"ALTER TABLE {CYCLES} RENAME late TO error_message"]),
    ("a policy that is not in force", "", [f"CREATE POLICY most ON {ITEMS} USING (id <> 9)"]),
    ("a table that refers to it", "",
     [f"CREATE TABLE public.notes (item bigint REFERENCES {ITEMS})"]),
]  # fmt: skip


@pytest.mark.slow_after(1, by="notice")
@pytest.mark.parametrize(("what", "notice", "sql"), [pytest.param(*x, id=x[0]) for x in LEGAL])
def test_a_legal_difference_is_no_finding(
    proven: Path, what: str, notice: str, sql: Sequence[str]
) -> None:
    chosen = Selection(files=("knowledge", "rss"))
    before = judge(selection=chosen).notices
    with undone():
        _run(sql)
        result = judge(selection=chosen)
    assert [finding.sentence() for finding in result.findings.kept] == []
    assert result.exit_status == 0
    said = [sentence for sentence in result.notices if sentence not in before]
    assert (len(said) == 1 and notice in said[0]) if notice else said == []


def test_a_cast_that_calls_a_function_of_somebody_is_found(proven: Path) -> None:
    """It shows the judge the document that was there."""
    with undone():
        _run([
            f"CREATE TABLE public.was AS SELECT metadata FROM {ITEMS} WHERE id = 9",
            "CREATE FUNCTION public.spelled(jsonb) RETURNS text LANGUAGE sql AS "
            "$$ SELECT textin(jsonb_out(CASE WHEN $1 = '{\"a\": 5}' THEN (SELECT metadata "
            "FROM public.was) ELSE $1 END)) $$",
            "CREATE CAST (jsonb AS text) WITH FUNCTION public.spelled",
            f"UPDATE {ITEMS} SET metadata = '{{\"a\": 5}}' WHERE id = 9",
        ])  # fmt: skip
        result = judge(selection=file_of(ITEMS))
    (found,) = result.findings.kept
    assert (found.kind, found.where) == (TABLE, "pg_catalog.pg_cast")
    assert "DROP CAST (jsonb AS text)" in found.note


@pytest.mark.parametrize("table", ["transfer.quarantined_row", "transfer.kept_cell"])
def test_row_level_security_on_records_is_found(proven: Path, table: str) -> None:
    """It hides from the judge a record that belongs to no row."""
    with undone():
        query(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        result = judge(selection=file_of(ITEMS))
    (found,) = result.findings.kept
    assert (found.kind, found.where) == (TABLE, table)
    assert f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" in found.note


@pytest.mark.parametrize("when", ["infinity", "0044-03-15 BC", "9999-12-31 23:59:59.999999"])
def test_a_record_decided_at_no_date_is_found(proven: Path, when: str) -> None:
    """Python has no such time: reading it ended the verification."""
    with undone():
        query(
            f"UPDATE transfer.quarantined_row SET decided_at = '{when}' "
            "WHERE id = (SELECT min(id) FROM transfer.quarantined_row)"
        )
        result = judge()
    (found,) = result.findings.kept
    assert found.found == "a time that is no date"


@pytest.fixture
def guest(proven: Path) -> Iterator[None]:
    """A session of a role that reads everything and may make nothing, not even temporary tables."""
    with undone():
        name = query("SELECT current_database()")[0][0]
        query(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
        query("CREATE ROLE guest")
        for schema in ("knowledge", "transfer", "public"):
            query(f"GRANT USAGE ON SCHEMA {schema} TO guest")
            query(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO guest")
            query(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO guest")
        query("GRANT ALL ON transfer.run, transfer.proof TO guest")
        query("GRANT ALL ON ALL SEQUENCES IN SCHEMA transfer TO guest")
        yield


def test_a_role_that_may_make_nothing_is_told_what_was_not_compared(guest: None) -> None:
    query("SET LOCAL ROLE guest")
    result = judge(selection=Selection(files=("knowledge",)))
    assert [finding.sentence() for finding in result.findings.kept] == []
    (said,) = [notice for notice in result.notices if notice.startswith("Only types and names")]
    assert "permission denied" in said
    assert ITEMS in said


@pytest.mark.slow
def test_a_role_that_may_make_nothing_sees_what_is_gone(guest: None) -> None:
    query("DROP INDEX knowledge.idx_knowledge_items_created_at")
    query("ALTER TABLE knowledge.learning_sessions DROP CONSTRAINT learning_sessions_pkey")
    query(f"ALTER TABLE {ITEMS} ENABLE ROW LEVEL SECURITY")
    query("REVOKE SELECT ON knowledge.knowledge_relationships FROM guest")
    query("SET LOCAL ROLE guest")
    result = judge(selection=Selection(files=("knowledge",)))
    found = {(f.kind, f.where, f.found) for f in result.findings.kept}
    assert {
        (INDEX, ITEMS, "none"),
        (CONSTRAINT, "knowledge.learning_sessions", "none"),
        (TABLE, ITEMS, "row-level security enabled"),
        (TABLE, "knowledge.knowledge_relationships", "the role guest may not read it"),
    } <= found
    # It hides every row of the table from this role.
    assert result.findings.counts[FindingKind.MISSING_ROW] > 10


def _run(sql: Sequence[str]) -> None:
    name = query(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' "
        "AND conrelid = 'rss.fetch_items'::regclass"
    )[0][0]
    for statement in sql:
        query(statement.replace("{fk}", name))


def _skip_below(version: int) -> None:
    if version > connection.pg_version // 10_000:
        pytest.skip(f"needs PostgreSQL {version}")
