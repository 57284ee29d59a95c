"""When the decision about a file's local clock changes, its local times mean something else.

So do numbers among times, where their unit is decided otherwise.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from stillme.transfer import ledger
from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import Run, RunFile
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.sqlite.clock import Clock
from stillme.transfer.sqlite.clock_sql import row_offset_sql
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.key_text import Key, key_sql, typed_key
from stillme.transfer.sqlite.spans import Span, first_difference
from stillme.transfer.steps.syncing.live_file import LiveFile, reading
from stillme.transfer.steps.syncing.replay import Replayed, apply_rows

_AT_ONCE = 5_000
Units = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Change:
    """Which rows may mean something else than before.

    Local times from `since` on ("" is all of them, None is none); those of rows with evidence of
    their own too, where it is `everywhere`. `numbers` are columns by declared table.
    """

    since: str | None
    everywhere: bool
    numbers: dict[str, list[str]]


def clock_signature(live: LiveFile) -> dict[str, object]:
    """What the meaning of the file's local times and numbers hangs on."""
    clock = live.clock
    units = {table: found for table, found in live.units.items() if found}
    return {
        "zone": clock.zone,
        "usual": clock.usual,
        "offsets": sorted(clock.evidence),
        "turns": clock.turns,
        "units": units,
    }


def loaded_clock(alias: str, file: str) -> dict[str, object] | None:
    """The signature that the last import of the file was made under, as far as it is known."""
    row = (
        RunFile.objects.using(alias)
        .filter(file=file, run__command="import_sqlite", run__status=Run.Status.COMPLETED)
        .order_by("-run_id")
        .first()
    )
    if row is None or "evidence" not in row.clock:
        return None
    return {
        "zone": row.clock["zone"],
        "usual": row.clock["usual_minutes"],
        "offsets": sorted(int(minutes) for minutes in row.clock["evidence"]),
        "turns": row.clock.get("turns", ""),
    }


def change_since(judged: Mapping[str, object], live: LiveFile) -> Change | None:
    """What has changed since the decision of that signature; None where nothing has."""
    now = clock_signature(live)
    known = {"turns": "", **judged}
    units = known.get("units", now["units"])
    everywhere = any(known[name] != now[name] for name in ("zone", "usual"))
    local = everywhere or any(known[name] != now[name] for name in ("offsets", "turns"))
    assert isinstance(units, dict)
    return _change("" if local else None, everywhere, units, live)


def change_between(clock: Clock, units: Units, live: LiveFile) -> Change | None:
    """What has changed since the file was decided so; None where nothing has."""
    since, everywhere = difference(clock, live.clock)
    return _change(since, everywhere, units, live)


def difference(before: Clock, after: Clock) -> tuple[str | None, bool]:
    """(`since`, `everywhere`) of the change from one clock to another."""
    if before.meaning == after.meaning:
        return None, False
    everywhere = (before.zone, before.usual) != (after.zone, after.usual)
    return ("" if everywhere else first_difference(_spans(before), _spans(after))), everywhere


def _spans(clock: Clock) -> tuple[Span, ...]:
    return clock.spans or (Span("", "", clock.usual),)


def _change(since: str | None, everywhere: bool, units: Units, live: LiveFile) -> Change | None:
    numbers = {}
    for table, mapping in live.mappings.items():
        before, now = units.get(table, {}), live.units[table]
        names = [c.legacy for c in mapping.columns if before.get(c.legacy) != now.get(c.legacy)]
        if names:
            numbers[table] = names
    return Change(since, everywhere, numbers) if since is not None or numbers else None


def read_again(alias: str, live: LiveFile, change: Change) -> None:
    """Apply the rows again that may mean something else.

    In short reads, so that writers are not kept waiting: what is written meanwhile is in the log.
    """
    for table, mapping in live.mappings.items():
        keys = concerned_keys(live.connection, mapping, change)
        for start in range(0, len(keys), _AT_ONCE):
            _apply(alias, live, table, keys[start : start + _AT_ONCE])


def concerned_keys(
    connection: sqlite3.Connection, mapping: TableMapping, change: Change
) -> list[Key]:
    """The keys of the rows that a change concerns; none in a table without a key."""
    if mapping.key is None:
        return []
    condition, values = _condition(mapping, change)
    key = quoted(mapping.key.legacy)
    rows = connection.execute(
        f"SELECT {key_sql(key)} FROM {quoted(mapping.table)} WHERE {condition}", values
    )
    return [typed_key(row[0]) for row in rows]


def _condition(mapping: TableMapping, change: Change) -> tuple[str, list[str]]:
    """SQL for the rows of a table that a change concerns."""
    tests = [
        f"typeof({quoted(name)}) IN ('integer', 'real')"
        for name in change.numbers.get(mapping.declared_table, ())
    ]
    values: list[str] = []
    times = [quoted(c.legacy) for c in mapping.columns if isinstance(c.kind, Timestamp | Date)]
    if times and change.since is not None:
        # Whatever the column is for, a T between date and time says that the time is local.
        test = " OR ".join(f"(substr({name}, 11, 1) = 'T' AND {name} >= ?)" for name in times)
        test, values = f"({test})", [change.since] * len(times)
        if mapping.clock is not None and not change.everywhere:
            # A row with evidence of its own is sure.
            test += f" AND {row_offset_sql(mapping.clock)} IS NULL"
        tests.append(f"({test})")
    return " OR ".join(tests) or "0", values


def _apply(alias: str, live: LiveFile, table: str, keys: Sequence[Key]) -> None:
    with reading(live.connection):
        rows = list(live.rows(table, keys))
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        apply_rows(alias, live, {table: list(keys)}, {table: rows}, Replayed())
        ledger.mark_write(alias, live.run_id)
