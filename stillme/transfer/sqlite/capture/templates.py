"""The SQL that capture leaves in a legacy file: named templates, each with a mark (`own_sql`)."""

from __future__ import annotations

from stillme.transfer.plumbing.own_sql import OWN, literal, marked
from stillme.transfer.sqlite.capture.tables import CapturedTable, UniqueIndex
from stillme.transfer.sqlite.reading.connect import quoted

VERSION = 1
CHANGE_TABLE = f"{OWN}_change"
PREFIX = f"{OWN}_capture_"
FREEZE_PREFIX = f"{OWN}_freeze_"

# `key` has no type, so that a key keeps its storage class. `at` is a Julian day: with it a row is
# told from another row of the same number in a restored file. Sequence 0 names the installation.
# No AUTOINCREMENT: the last row is never trimmed, so numbers never repeat, and a file without
# sqlite_sequence is left without one.
CHANGE_TABLE_SQL = (
    f"CREATE TABLE {CHANGE_TABLE} (sequence INTEGER PRIMARY KEY, name TEXT NOT NULL, key, "
    "at REAL NOT NULL DEFAULT (julianday('now')))"
)

_LOG = f"INSERT INTO {CHANGE_TABLE} (name, key) "
_EVENTS = {
    "insert": "CREATE TRIGGER {trigger} AFTER INSERT ON {table} BEGIN {mark} {log}"
    "VALUES ({name}, {new}); END",
    "update": "CREATE TRIGGER {trigger} AFTER UPDATE ON {table} BEGIN {mark} {log}"
    "VALUES ({name}, {new}); END",
    "rekey": "CREATE TRIGGER {trigger} AFTER UPDATE ON {table} "
    "WHEN {moved} BEGIN {mark} {log}"
    "VALUES ({name}, {old}); END",
    "delete": "CREATE TRIGGER {trigger} AFTER DELETE ON {table} BEGIN {mark} {log}"
    "VALUES ({name}, {old}); END",
    # With recursive_triggers off, the delete that OR REPLACE implies fires no delete trigger:
    # the rows that the new values may push out are logged before.
    "replace": "CREATE TRIGGER {trigger} BEFORE INSERT ON {table} BEGIN {mark} {pushed} END",
    "push": "CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} BEGIN {mark} {pushed} END",
}
# ROLLBACK, not ABORT: the old classes leave their connection open after an exception, and with it
# the transaction. After ABORT its lock would stay until Python's collector finds the connection.
_FREEZE = (
    "CREATE TRIGGER {trigger} BEFORE {event} ON {table} {when}BEGIN {mark} "
    "SELECT RAISE(ROLLBACK, {message}); END"
)


def capture_triggers(table: CapturedTable) -> dict[str, str]:
    """Trigger name -> statement, for one table."""
    new, old = (table.key.legacy_logged(row) if table.key else "NULL" for row in ("NEW", "OLD"))
    pushed = _pushed_rows(table)
    found = {}
    for event, template in _EVENTS.items():
        if event in ("replace", "push") and not pushed:
            continue
        if event == "rekey" and not table.key:
            continue
        trigger = f"{PREFIX}{table.name}_{event}"
        found[trigger] = marked(
            event,
            VERSION,
            template.format(
                trigger=quoted(trigger),
                table=quoted(table.name),
                name=literal(table.name),
                new=new,
                old=old,
                moved=table.key.legacy_differs("OLD", "NEW"),
                log=_LOG,
                mark="{mark}",
                pushed=pushed,
            ),
        )
    return found


def _pushed_rows(table: CapturedTable) -> str:
    """Statements that log every other row which the values in NEW would push out."""
    if not table.key:
        return ""
    name, differs = quoted(table.name), table.key.legacy_differs("", "NEW")
    clashes = [_same_values(index) for index in table.uniques if index.columns]
    if table.has_rowid and not table.key_is_rowid:
        clashes.append("rowid = NEW.rowid")
    return " ".join(
        f"{_LOG}SELECT {literal(table.name)}, {table.key.legacy_logged('')} FROM {name} "
        f"WHERE {clash} AND {differs};"
        for clash in clashes
    )


def _same_values(index: UniqueIndex) -> str:
    if index.by_expression:
        # The expression names columns: once those of the table, once those of this one row.
        new = ", ".join(f"{index.new(name)} AS {quoted(name)}" for name in index.of_table)
        return " AND ".join(
            f"{term} = (SELECT {term} FROM (SELECT {new})) COLLATE {quoted(collation)}"
            for term, collation in index.columns
        )
    return " AND ".join(
        f"{quoted(column)} = {index.new(column)} COLLATE {quoted(collation)}"
        for column, collation in index.columns
    )


def freeze_triggers(table: CapturedTable, message: str, until: float | None) -> dict[str, str]:
    """The triggers that refuse every write to a table, until a Julian day or for good."""
    when = "" if until is None else f"WHEN julianday('now') < {until!r} "
    found = {}
    for event in ("INSERT", "UPDATE", "DELETE"):
        trigger = f"{FREEZE_PREFIX}{table.name}_{event.lower()}"
        sql = _FREEZE.format(
            trigger=quoted(trigger),
            event=event,
            table=quoted(table.name),
            when=when,
            mark="{mark}",
            message=literal(message),
        )
        found[trigger] = marked("freeze", VERSION, sql)
    return found
