"""Putting reverse capture on the target tables, telling how it stands, taking it off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connections

from stillme.postgresql.statements import set_local
from stillme.transfer.errors import StateError
from stillme.transfer.plumbing.own_sql import (
    ORIGIN,
    REPLAY,
    CaptureStatus,
    Health,
    is_own_text,
    status_of,
)
from stillme.transfer.postgresql.capture.tables import TargetTable, every_target_table
from stillme.transfer.postgresql.capture.templates import (
    EVENTS,
    FREEZE_FUNCTION,
    FREEZE_TRIGGER,
    PREFIX,
    capture_body,
    capture_triggers,
    create_function,
    freeze_body,
)
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted
from stillme.transfer.postgresql.locks import exclusive_transaction

# PostgreSQL's letter for when a trigger fires -> how it is switched on so.
_ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


def as_replay(alias: str) -> None:
    """Mark the present transaction as the engine's own: it is neither captured nor refused."""
    fetch_all(alias, "SELECT set_config(%s, %s, true)", [ORIGIN, REPLAY])


@contextmanager
def engine_transaction(alias: str) -> Iterator[None]:
    """A transaction of the engine's own (`as_replay`): after a rollback nobody else may write.

    Raises Busy where the lock of writers was lost.
    """
    with exclusive_transaction(alias):
        as_replay(alias)
        yield


def install(alias: str, tables: Sequence[TargetTable], *, lock_timeout: str = "2s") -> None:
    """Install or renew reverse capture, in the caller's transaction.

    CREATE TRIGGER waits for writers in flight: what they write is committed before, what comes
    after is logged.
    """
    set_local(connections[alias], {"lock_timeout": lock_timeout})
    for table in tables:
        name = f'transfer."{table.function}"'
        execute(alias, create_function(name, capture_body(table)))
        for trigger, sql in capture_triggers(table).items():
            execute(alias, sql)
            # A session in replica role must not slip past.
            execute(alias, f"ALTER TABLE {table.relation} ENABLE ALWAYS TRIGGER {trigger}")


def remove(alias: str, tables: Sequence[TargetTable]) -> None:
    """Take reverse capture off, in the caller's transaction. The log stays."""
    for table in tables:
        for event in EVENTS:
            execute(alias, f"DROP TRIGGER IF EXISTS {PREFIX}{event} ON {table.relation}")
        execute(alias, f'DROP FUNCTION IF EXISTS transfer."{table.function}"()')


def status(alias: str, tables: Sequence[TargetTable]) -> CaptureStatus:
    """Compare functions and triggers with what this version would write."""
    bodies = dict(
        fetch_all(
            alias,
            "SELECT p.proname, p.prosrc FROM pg_proc AS p JOIN pg_namespace AS n "
            "ON n.oid = p.pronamespace WHERE n.nspname = 'transfer' AND p.proname = ANY(%s)",
            [[table.function for table in tables]],
        )
    )
    triggers = _found_triggers(alias, tables)
    own = {f"{PREFIX}{event}" for event in EVENTS}
    # A trigger of somebody else's is no capture, nor is that of a freeze.
    if not bodies and not any(own & found.keys() for found in triggers.values()):
        return CaptureStatus(Health.ABSENT)
    edited, other, missing = [], [], []
    for table in tables:
        body = bodies.get(table.function)
        if body is None:
            missing.append(f"the function transfer.{table.function} is missing")
        elif not is_own_text(body):
            edited.append(f"transfer.{table.function} was edited by hand")
        elif body != capture_body(table):
            other.append(f"transfer.{table.function} is of another version")
        for event in EVENTS:
            if triggers[table.name].get(f"{PREFIX}{event}") != "A":
                missing.append(f"the {event} trigger on {table.name} is missing or disabled")
    return status_of(edited, other, missing)


def require_carried(alias: str) -> None:
    """Raise StateError where reverse capture is on a table that the settings do not carry.

    They did when the switch was made. Nobody would carry back what was written to it since.
    """
    rows = fetch_all(
        alias,
        "SELECT n.nspname || '.' || c.relname FROM pg_trigger AS t "
        "JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE NOT t.tgisinternal AND t.tgname LIKE %s AND n.nspname || '.' || c.relname <> ALL(%s)"
        " ORDER BY 1 LIMIT 1",
        [f"{PREFIX.replace('_', chr(92) + '_')}%", [t.name for t in every_target_table()]],
    )
    if rows:
        raise StateError(
            f"{rows[0][0]} went to PostgreSQL with the cut-over, and the present settings and "
            "models do not carry it: what was written to it since would be left behind. Run the "
            "command with the settings and models of the cut-over."
        )


def _found_triggers(alias: str, tables: Sequence[TargetTable]) -> dict[str, dict[str, str]]:
    """Table name -> trigger name -> enabled state."""
    rows = fetch_all(
        alias,
        "SELECT n.nspname || '.' || c.relname, t.tgname, t.tgenabled::text FROM pg_trigger AS t "
        "JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE NOT t.tgisinternal AND n.nspname || '.' || c.relname = ANY(%s)",
        [[table.name for table in tables]],
    )
    found: dict[str, dict[str, str]] = {table.name: {} for table in tables}
    for name, trigger, enabled in rows:
        found[name][trigger] = enabled
    return found


@contextmanager
def without_triggers(alias: str, tables: Sequence[TargetTable]) -> Iterator[None]:
    """Switch off triggers of somebody else's, in the caller's transaction, and on again.

    They would change what the engine writes: a trigger that touches `updated_at`, for example.
    """
    found = _found_triggers(alias, tables)
    others = [
        (table.relation, quoted(name), _ENABLE[state])
        for table in tables
        for name, state in found[table.name].items()
        if state in _ENABLE and name != FREEZE_TRIGGER and not name.startswith(PREFIX)
    ]
    for relation, name, _ in others:
        execute(alias, f"ALTER TABLE {relation} DISABLE TRIGGER {name}")
    yield
    if others:
        # A table with deferred checks to come cannot be altered.
        execute(alias, "SET CONSTRAINTS ALL IMMEDIATE")
    for relation, name, enable in others:
        execute(alias, f"ALTER TABLE {relation} {enable} TRIGGER {name}")


def freeze_target(alias: str, tables: Sequence[TargetTable], *, lock_timeout: str = "10s") -> None:
    """Refuse every write that is not the engine's, in the caller's transaction."""
    set_local(connections[alias], {"lock_timeout": lock_timeout})
    execute(alias, create_function(FREEZE_FUNCTION, freeze_body()))
    for table in tables:
        execute(
            alias,
            f"CREATE OR REPLACE TRIGGER {FREEZE_TRIGGER} "
            "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE "
            f"ON {table.relation} FOR EACH STATEMENT EXECUTE FUNCTION {FREEZE_FUNCTION}()",
        )
        execute(alias, f"ALTER TABLE {table.relation} ENABLE ALWAYS TRIGGER {FREEZE_TRIGGER}")


def unfreeze_target(alias: str, tables: Sequence[TargetTable]) -> None:
    """Let writes in again, in the caller's transaction. Waits for readers of frozen tables."""
    for table in _with_freeze(alias, tables):
        execute(alias, f"DROP TRIGGER {FREEZE_TRIGGER} ON {table.relation}")


def disable_freeze(alias: str, tables: Sequence[TargetTable]) -> None:
    """Let writes in again, in the caller's transaction, whoever reads: the triggers stay, off."""
    for table in _with_freeze(alias, tables):
        execute(alias, f"ALTER TABLE {table.relation} DISABLE TRIGGER {FREEZE_TRIGGER}")


def _with_freeze(alias: str, tables: Sequence[TargetTable]) -> list[TargetTable]:
    found = _found_triggers(alias, tables)
    return [table for table in tables if FREEZE_TRIGGER in found[table.name]]


def is_frozen(alias: str, tables: Sequence[TargetTable]) -> bool:
    """Whether any of the tables refuses writes."""
    found = _found_triggers(alias, tables)
    return any(triggers.get(FREEZE_TRIGGER, "D") != "D" for triggers in found.values())
