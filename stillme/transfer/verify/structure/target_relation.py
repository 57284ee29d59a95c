"""What a target table is, and what acts on its reads and writes without being in a row.

It must be an ordinary, logged table that inherits nothing. No trigger, rule or row-level security
may change what is read or written, and PostgreSQL's own triggers behind foreign keys must be on.
The catalogue says all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stillme.transfer.conf import conf
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.plumbing.own_sql import capture_function
from stillme.transfer.verify.sides.target_table import select, select_all

_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "p": "a partitioned table",
    "S": "a sequence",
    "c": "a composite type",
    "i": "an index",
    "I": "an index",
}
_TABLE = """
SELECT c.oid::int8, relkind::text, relpersistence::text, relrowsecurity, relforcerowsecurity,
    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), current_user
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE nspname = %s AND relname = %s
"""
_FAMILY = """
SELECT inhrelid = {oid}, nspname || '.' || relname FROM pg_inherits
JOIN pg_class AS c ON c.oid = CASE WHEN inhrelid = {oid} THEN inhparent ELSE inhrelid END
JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE inhrelid = {oid} OR inhparent = {oid} ORDER BY 2
"""
_RULES = "SELECT rulename FROM pg_rewrite WHERE ev_class = {oid} ORDER BY 1"
# PostgreSQL's own are of a constraint and call one of its own functions, whatever else is noted.
# Citus has one of its own on each distributed table.
_TRIGGERS = """
SELECT tgname, nspname, proname FROM pg_trigger JOIN pg_proc AS f ON f.oid = tgfoid
JOIN pg_namespace AS n ON n.oid = pronamespace
WHERE tgrelid = {oid} AND (NOT tgisinternal OR tgconstraint = 0 OR nspname <> 'pg_catalog')
AND NOT (tgisinternal AND nspname = 'pg_catalog' AND proname = 'citus_truncate_trigger')
ORDER BY 1
"""
# By constraint: those of a foreign key are on both of its tables.
_DISABLED = """
SELECT DISTINCT coalesce(conname, tgname), coalesce(contype::text, ''), conrelid = tgrelid,
    (SELECT coalesce(string_agg(attname, ',' ORDER BY attname), '')
     FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey))
FROM pg_trigger LEFT JOIN pg_constraint AS k ON k.oid = tgconstraint
WHERE tgrelid = {oid} AND tgisinternal AND tgenabled NOT IN ('O', 'A') ORDER BY 1
"""
# A flag of pg_class that says "none" hides from PostgreSQL what the catalogue lists.
_HIDDEN = """
SELECT flag, what FROM pg_class, LATERAL (VALUES
    ('relhasindex', 'indexes', relhasindex OR NOT EXISTS (
        SELECT FROM pg_index WHERE indrelid = {oid})),
    ('relhastriggers', 'triggers', relhastriggers OR NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = {oid})),
    ('relchecks', 'checks', relchecks = (
        SELECT count(*) FROM pg_constraint WHERE conrelid = {oid} AND contype = 'c'))
) AS flags(flag, what, is_right) WHERE pg_class.oid = {oid} AND NOT is_right
"""
_ROLE = "SELECT current_setting('session_replication_role')"
# The engine's own (capture-and-cut-over.md): those that call the table's capture function.
_CAPTURES = frozenset(
    f"{conf().prefix}_capture_{event}" for event in ("insert", "update", "delete", "truncate")
)
_FREEZES = f"{conf().prefix}_freeze"
_CAPTURING = """
SELECT tgname FROM pg_trigger JOIN pg_proc AS f ON f.oid = tgfoid
JOIN pg_namespace AS n ON n.oid = pronamespace
WHERE tgrelid = to_regclass(%s) AND tgenabled = 'A' AND nspname = 'transfer' AND proname = %s
"""
# PostgreSQL's own ones have numbers below. WITH INOUT ('i') has no function of somebody's.
_CASTS = """
SELECT format_type(castsource, NULL), format_type(casttarget, NULL), castfunc::regproc::text
FROM pg_cast WHERE oid >= 16384 AND castmethod = 'f' AND castsource < 16384 AND casttarget < 16384
ORDER BY 1, 2
"""
# The engine's own tables, all of which some answer depends on.
_SECURED_RECORDS = """
SELECT nspname || '.' || relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE nspname = 'transfer' AND relkind IN ('r', 'p') AND relrowsecurity ORDER BY 1
"""
Rows = list[tuple[Any, ...]]
# The note of a finding about a table of which no row may be read.
UNREADABLE = "no row of it is read"


def check_casts(alias: str) -> Iterator[Finding]:
    """Yield each cast between PostgreSQL's own types that calls a function of somebody's.

    The judge reads a document as `metadata::text`: such a function decides what it reads.
    """
    for source, wanted, function in select(alias, _CASTS):
        cast = f"CAST ({source} AS {wanted})"
        note = f"it decides what the judge reads: DROP {cast}, or make it WITH INOUT"
        yield Finding(
            FindingKind.TABLE, "pg_catalog.pg_cast", None, f"no {cast}", f"one by {function}", note
        )


def check_records(alias: str) -> Iterator[Finding]:
    """Yield each table of the engine whose row-level security may hide records from the judge.

    A record that nobody sees is no finding: one of a row that is gone, for example.
    """
    for (table,) in select(alias, _SECURED_RECORDS):
        expected, found = "no row-level security", "row-level security enabled"
        note = f"it may hide records: ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        yield Finding(FindingKind.TABLE, table, None, expected, found, note)


@dataclass(frozen=True, slots=True)
class Relation:
    """The relation that has the name of a target table, be it a table or not."""

    alias: str
    schema: str
    table: str

    @property
    def where(self) -> str:
        """The name, as findings give it."""
        return f"{self.schema}.{self.table}"

    def check(self) -> Iterator[Finding]:
        """Yield what is wrong with it. If it is not a table, that is the only finding."""
        found = select(self.alias, _TABLE, [self.schema, self.table])
        if not found:
            yield Finding(FindingKind.MISSING_TABLE, self.where, None, "the table", "nothing")
            return
        oid, kind, persistence, secured, forced, may_read, user = found[0]
        if kind != "r":
            words = _KINDS.get(kind, f"something else (relkind {kind})")
            yield Finding(FindingKind.MISSING_TABLE, self.where, None, "a table", words, UNREADABLE)
            return
        if not may_read:
            words = f"the role {user} may not read it"
            yield self._about("a table that may be read", words, UNREADABLE)
        if persistence != "p":
            yield self._about("a logged table", "UNLOGGED", "a crash of the server empties it")
        if secured or forced:
            words = " and ".join(
                word for word, on in (("enabled", secured), ("forced", forced)) if on
            )
            note = "it may hide rows and refuse writes"
            yield self._about("no row-level security", f"row-level security {words}", note)
        asked = (_FAMILY, _RULES, _TRIGGERS, _DISABLED, _HIDDEN, _ROLE)
        answers = select_all(self.alias, [query.format(oid=oid) for query in asked])
        family, rules, triggers, disabled, hidden, [(role,)] = answers
        yield from self._family(family)
        yield from self._acting(rules, triggers)
        yield from self._disabled(disabled)
        for flag, what in hidden:
            note = f"PostgreSQL does not heed the table's {what}"
            yield self._about(f"{what} in force", f"pg_class.{flag} says otherwise", note)
        if role != "origin":
            note = "a setting of the role or the database: foreign keys are not checked"
            yield self._about("session_replication_role origin", str(role), note)

    def capture(self) -> Iterator[Finding]:
        """Yield what reverse capture lacks, without which a rollback would miss writes."""
        name = f'"{self.schema}"."{self.table}"'
        function = capture_function(self.schema, self.table)
        found = select(self.alias, _CAPTURING, [name, function])
        if missing := sorted(_CAPTURES - {trigger for (trigger,) in found}):
            words = f"without {missing[0]} that is enabled always"
            note = "what is written is not logged: manage.py cutover puts it back"
            yield self._about("a table with reverse capture", words, note)

    def _about(self, expected: str, found: str, note: str = "") -> Finding:
        return Finding(FindingKind.TABLE, self.where, None, expected, found, note)

    def _family(self, rows: Rows) -> Iterator[Finding]:
        for is_child, name in rows:
            if is_child:
                words = f"a child or partition of {name}"
                yield self._about("a table that inherits nothing", words)
            else:
                note = "a query of the table reads the rows of both"
                yield self._about("a table without children", f"the child {name}", note)

    def _acting(self, rules: Rows, triggers: Rows) -> Iterator[Finding]:
        for (name,) in rules:
            yield self._about("no rule", f"the rule {name}", "it changes what is written")
        owned = {name: capture_function(self.schema, self.table) for name in _CAPTURES}
        owned[_FREEZES] = "refuse_write"
        for name, schema, function in triggers:
            own = owned.get(name)
            if schema != "transfer" or function != own:
                words = f"the trigger {name}, which calls {schema}.{function}"
                yield self._about("no trigger", words, "it may change what is written")

    def _disabled(self, rows: Rows) -> Iterator[Finding]:
        for name, kind, is_child, columns in rows:
            told = FindingKind.FOREIGN_KEY if kind == "f" else FindingKind.CONSTRAINT
            at = f"{self.where}:{columns}" if kind == "f" and is_child else self.where
            yield Finding(
                told,
                at,
                None,
                f"{name} enforced",
                "its triggers are disabled",
                "ALTER TABLE ... ENABLE TRIGGER ALL; what was written meanwhile was not checked",
            )
