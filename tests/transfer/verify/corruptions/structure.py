"""Tables that are built otherwise than declared, and sequences that will give a wrong id.

More of the structure is planted in the tests of the structure alone.
"""

from __future__ import annotations

from stillme.transfer.findings import FindingKind
from tests.transfer.verify.corruptions.case import (
    AUDIT,
    CYCLES,
    FETCHED,
    FORGOT,
    GOALS,
    ITEMS,
    LINKS,
    SCORES,
    TIERS,
    TRENDS,
    Corruption,
)

COLUMN, CONSTRAINT, INDEX = FindingKind.COLUMN, FindingKind.CONSTRAINT, FindingKind.INDEX
REFERENCE, SEQUENCE, TABLE = (
    FindingKind.FOREIGN_KEY,
    FindingKind.SEQUENCE,
    FindingKind.MISSING_TABLE,
)


def built(what: str, kind: FindingKind, where: str, *sql: str) -> Corruption:
    """The table is built otherwise."""
    return Corruption(what, kind, where, None, sql)


def altered(what: str, kind: FindingKind, where: str, change: str) -> Corruption:
    """ALTER TABLE."""
    return built(what, kind, where, f"ALTER TABLE {where.split(':')[0]} {change}")


def sequence(what: str, table: str, *sql: str) -> Corruption:
    """A sequence that will not give the next free id; `{}` is its name."""
    name = f"{table}_id_seq"
    return Corruption(what, SEQUENCE, f"{table}:id", None, tuple(s.format(name) for s in sql))


def placed(what: str, table: str, position: str, *sql: str) -> Corruption:
    """A sequence set to a position by setval.

    No rollback undoes setval, but one undoes what RESTART made for it to write to.
    """
    return sequence(
        what, table, "ALTER SEQUENCE {} RESTART", f"SELECT setval('{{}}', {position})", *sql
    )


def identity(what: str, table: str, change: str) -> Corruption:
    """ALTER TABLE ... ALTER COLUMN id ..."""
    return sequence(what, table, f"ALTER TABLE {table} ALTER COLUMN id {change}")


# fmt: off
BUILT = [
    altered("a column is missing", COLUMN, f"{ITEMS}:access_count", "DROP COLUMN access_count"),
    altered("the column of undeclared values is missing", COLUMN, f"{ITEMS}:legacy_extra", "DROP COLUMN legacy_extra"),
    altered("a column of the target alone is missing", COLUMN, f"{TRENDS}:metadata", "DROP COLUMN metadata"),
    altered("a column too many", COLUMN, f"{ITEMS}:surplus", "ADD COLUMN surplus text"),
    built("a column renamed", COLUMN, f"{ITEMS}:source", f"ALTER TABLE {ITEMS} RENAME COLUMN source TO origin"),
    altered("a double became a float of 32 bits", COLUMN, f"{ITEMS}:confidence_score", "ALTER COLUMN confidence_score TYPE real"),
    altered("text became text of 255", COLUMN, f"{ITEMS}:source", "ALTER COLUMN source TYPE varchar(255)"),
    altered("an integer became a bigint", COLUMN, f"{ITEMS}:access_count", "ALTER COLUMN access_count TYPE bigint"),
    altered("a time lost its zone", COLUMN, f"{ITEMS}:created_at", "ALTER COLUMN created_at TYPE timestamp"),
    altered("a time of whole seconds", COLUMN, f"{FETCHED}:fetch_timestamp", "ALTER COLUMN fetch_timestamp TYPE timestamptz(0)"),
    altered("jsonb became json", COLUMN, f"{ITEMS}:metadata", "ALTER COLUMN metadata TYPE json USING metadata::json"),
    altered("jsonb became text", COLUMN, f"{TIERS}:metadata", "ALTER COLUMN metadata DROP DEFAULT, ALTER COLUMN metadata TYPE text"),
    altered("NULL is allowed", COLUMN, f"{ITEMS}:content", "ALTER COLUMN content DROP NOT NULL"),
    altered("a default is gone", COLUMN, f"{ITEMS}:access_count", "ALTER COLUMN access_count DROP DEFAULT"),
    altered("another default", COLUMN, f"{ITEMS}:access_count", "ALTER COLUMN access_count SET DEFAULT 1"),
    altered("a default in local time", COLUMN, f"{ITEMS}:created_at", "ALTER COLUMN created_at SET DEFAULT localtimestamp"),
    altered("the primary key is gone", CONSTRAINT, GOALS, "DROP CONSTRAINT learning_objectives_pkey"),
    altered("the check of a tier is gone", CONSTRAINT, TIERS, "DROP CONSTRAINT tier_metrics_tier_check"),
    built("the check of a tier lets more pass", CONSTRAINT, TIERS,
          f"ALTER TABLE {TIERS} DROP CONSTRAINT tier_metrics_tier_check",
          f"ALTER TABLE {TIERS} ADD CONSTRAINT tier_metrics_tier_check CHECK (tier IN ('L0', 'L1', 'L2', 'L3', 'L4'))"),
    built("a check that was not validated", CONSTRAINT, ITEMS, f"ALTER TABLE {ITEMS} ADD CONSTRAINT late CHECK (id <> 0) NOT VALID"),
    built("a foreign key is gone", REFERENCE, f"{FETCHED}:cycle_id",
          f"DO $$ BEGIN EXECUTE (SELECT 'ALTER TABLE {FETCHED} DROP CONSTRAINT ' || conname FROM pg_constraint WHERE conrelid = '{FETCHED}'::regclass AND contype = 'f'); END $$"),
    built("an index is gone", INDEX, ITEMS, "DROP INDEX knowledge.idx_knowledge_items_created_at"),
    built("an index of another column", INDEX, ITEMS, "DROP INDEX knowledge.idx_knowledge_items_created_at",
          f"CREATE INDEX idx_knowledge_items_created_at ON {ITEMS} (last_accessed)"),
    built("an index of some rows only", INDEX, ITEMS, "DROP INDEX knowledge.idx_knowledge_items_created_at",
          f"CREATE INDEX idx_knowledge_items_created_at ON {ITEMS} (created_at) WHERE id > 5"),
    built("an index that is not valid", INDEX, FORGOT, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'continuum.idx_forgetting_measured_at'::regclass"),
    built("an index that takes no writes", INDEX, FORGOT, "UPDATE pg_index SET indisready = false WHERE indexrelid = 'continuum.idx_forgetting_measured_at'::regclass"),
    built("a primary key that is not valid", INDEX, TRENDS, f"UPDATE pg_index SET indisvalid = false WHERE indrelid = '{TRENDS}'::regclass AND indisprimary"),
    built("a table is missing", TABLE, TRENDS, f"DROP TABLE {TRENDS}"),
    built("a table was renamed", TABLE, TRENDS, f"ALTER TABLE {TRENDS} RENAME TO trends"),
    built("a table moved to another schema", TABLE, TRENDS, f"ALTER TABLE {TRENDS} SET SCHEMA public"),
]

SEQUENCES = [
    identity("a sequence set back to 3", ITEMS, "RESTART WITH 3"),
    identity("a sequence set to the first id", CYCLES, "RESTART WITH 1"),
    placed("a sequence whose next id is in use", CYCLES, "8, false"),
    placed("a sequence one below the highest id", CYCLES, "6, true"),
    placed("a sequence that was never called, at an id in use", TRENDS, "1, false"),
    placed("a sequence behind the rows, before the legacy's mark", ITEMS, "161, true"),
    placed("a sequence at the legacy's mark, not given yet", ITEMS, "200, false"),
    sequence("a sequence below a row of the target", AUDIT, f"INSERT INTO {AUDIT} (id, item_id, to_tier, reason) VALUES (5000, 'i', 'L1', 'r')"),
    placed("a sequence with no id left", CYCLES, "9223372036854775807, true"),
    placed("a sequence whose last id was given", CYCLES, "8, true", "ALTER SEQUENCE {} MAXVALUE 8"),
    placed("a sequence that goes down", CYCLES, "10, true", "ALTER SEQUENCE {} INCREMENT BY -1 MINVALUE -100 MAXVALUE 1000"),
    placed("a sequence that begins again", CYCLES, "8, true", "ALTER SEQUENCE {} MINVALUE 1 MAXVALUE 8 CYCLE"),
    placed("a sequence that will begin again", CYCLES, "8, true", "ALTER SEQUENCE {} MAXVALUE 20 CYCLE"),
    sequence("a sequence of small numbers", CYCLES, "ALTER SEQUENCE {} AS smallint"),
    identity("no identity", SCORES, "DROP IDENTITY"),
    sequence("another table's sequence", GOALS, f"ALTER TABLE {GOALS} ALTER COLUMN id DROP IDENTITY",
             f"ALTER TABLE {GOALS} ALTER COLUMN id SET DEFAULT nextval('{TRENDS}_id_seq')"),
    sequence("a default that is always the same", GOALS, f"ALTER TABLE {GOALS} ALTER COLUMN id DROP IDENTITY",
             f"ALTER TABLE {GOALS} ALTER COLUMN id SET DEFAULT 5"),
    sequence("a sequence that nobody owns", LINKS, f"ALTER TABLE {LINKS} ALTER COLUMN id DROP IDENTITY",
             "CREATE SEQUENCE knowledge.loose START 500", f"ALTER TABLE {LINKS} ALTER COLUMN id SET DEFAULT nextval('knowledge.loose')"),
    Corruption("an identity that is always the sequence's", (SEQUENCE, COLUMN), f"{ITEMS}:id", None, (
        f"ALTER TABLE {ITEMS} ALTER COLUMN id SET GENERATED ALWAYS",)),
    built("a trigger gives another id", FindingKind.TABLE, AUDIT,
             "CREATE FUNCTION pg_temp.same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := 3; RETURN NEW; END $$",
             f"CREATE TRIGGER same BEFORE INSERT ON {AUDIT} FOR EACH ROW EXECUTE FUNCTION pg_temp.same()"),
]
# fmt: on

CASES: list[Corruption] = [*BUILT, *SEQUENCES]
