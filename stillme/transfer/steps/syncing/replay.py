"""Replaying one round of changes: the rows as they are now, and the position, in one transaction.

An example: the log says that items 7 and 9 and cycle 3 were written. Cycle 3 is there: it goes
through the checks of the import and is merged. It is new, so items that were quarantined for lack
of it are read again with items 7 and 9. Item 9 is no longer in the file: it is deleted in the
target, with what was kept of it.

The log holds keys only and the present row is read, so a round that is replayed twice ends in the
same rows. The position moves in the transaction of the rows, so no change is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connections, transaction

from stillme.transfer import kinds, ledger
from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import whole_key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.copy import (
    fetch_all,
    quoted,
)
from stillme.transfer.postgresql.distributed import commit_lazily
from stillme.transfer.postgresql.locks import share_rows
from stillme.transfer.sqlite.key_text import Key
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.merging.apply import apply_many, apply_raw
from stillme.transfer.steps.merging.foreign import foreign_among
from stillme.transfer.steps.merging.merge import delete_keys
from stillme.transfer.steps.merging.records import (
    drop_keyless,
    drop_records,
    is_target_key,
    unloaded_keys,
)
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.rows.outcome import Outcome
from stillme.transfer.steps.rows.read_keys import ManyRows
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.children import children_of
from stillme.transfer.steps.syncing.live_file import LiveFile, Round, row_keys
from stillme.transfer.steps.syncing.ranges_touched import touch_ranges

_AT_ONCE = 5_000


@dataclass(slots=True)
class Replayed:
    """What one round did.

    `foreign` names rows that somebody else wrote in the target: they are left as they are.
    """

    changes: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    foreign: dict[str, list[str]] = field(default_factory=dict)

    def note(self, table: str, outcome: Outcome) -> None:
        """Add what was done in one table."""
        self.outcome.add(outcome)
        if outcome.conflicts:
            self.foreign.setdefault(table, []).extend(outcome.conflicts)


def replay_round(alias: str, live: LiveFile, found: Round) -> Replayed:
    """Apply a round to the target with its position, in one transaction of its own."""
    result = Replayed(found.changes)
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        share_rows(alias)
        # A crash of the server loses rows and position together, and the log still has them:
        # it is trimmed only after a commit that waited for the disk (Follower.trim).
        commit_lazily(connections[alias])
        apply_rows(alias, live, found.keys, found.rows, result, found.many)
        if any(found.keys.values()):
            ledger.mark_write(alias, live.run_id)
        witness = found.witness
        states.advance(
            alias,
            found.file,
            found.start,
            found.end,
            witness=None if witness is None else witness.as_list(),
        )
    return result


def apply_rows(
    alias: str,
    live: LiveFile,
    keys: dict[str, list[Key]],
    rows: dict[str, list[RawRow]],
    result: Replayed,
    many: dict[str, ManyRows] | None = None,
) -> None:
    """Bring the target to the given rows, parents first, in the caller's transaction.

    `many` holds the common rows of tables with many keys; `rows` has the others then.

    A parent that came or went changes what its children may be: they are read again.
    """
    again: dict[str, dict[Key, None]] = {}
    for table, source in live.tables.items():
        wanted = dict.fromkeys(keys.get(table, ()))
        found, common = rows.get(table, ()), (many or {}).get(table)
        is_parent = any(
            table == p for s in live.tables.values() for _, p in s.job.mapping.references()
        )
        # Once more as long as rows of a table that refers to itself are its own children.
        while wanted or again.get(table):
            extra = [key for key in again.pop(table, ()) if key not in wanted]
            every = [*wanted, *extra]
            before = _present(alias, source.job.mapping, every) if is_parent else set()
            every_row = [*found, *live.rows(table, extra)]
            _apply_table(alias, live, table, every, every_row, result, common)
            if is_parent:
                moved = before ^ _present(alias, source.job.mapping, every)
                for child, child_keys in children_of(alias, live, table, sorted(moved)).items():
                    again.setdefault(child, {}).update(dict.fromkeys(child_keys))
            touch_ranges(alias, source.job.mapping.identity, every)
            wanted, found, common = {}, (), None


def _apply_table(
    alias: str,
    live: LiveFile,
    table: str,
    keys: Sequence[Key],
    rows: Sequence[RawRow],
    result: Replayed,
    many: ManyRows | None,
) -> None:
    source = live.tables[table]
    mapping = source.job.mapping
    if mapping.key is None:
        return
    present: set[Key] = set()
    if many is not None:
        outcome = apply_many(alias, source, many)
        if outcome is None:
            # PostgreSQL refuses one of the common rows: each of them by itself, the others too.
            whole = [key for key in keys if type(key) is int]
            rows = [*live.rows(table, whole), *rows[len(many.others) :]]
        else:
            result.note(table, outcome)
            present.update(many.present)
            rows = rows[len(many.others) :]
    for start in range(0, len(rows), _AT_ONCE):
        result.note(table, apply_raw(alias, source, rows[start : start + _AT_ONCE]))
    present.update(row_keys(live, table, rows))
    away = [key for key in keys if key not in present]
    alike = [k for k in away if k is not None and not is_target_key(mapping, k)]
    # A target row whose key is this text belongs to another row.
    drop_records(alias, source, [str(key_text(key)) for key in alike])
    gone = [key_text(k) for k in away if k is None or is_target_key(mapping, k)]
    gone = _ours(alias, source, gone, table, result)
    _drop_gone(alias, source, gone, result.outcome)
    if mapping.key_is_rowid:
        bad = _quarantined(
            alias, mapping, [str(k) for k in map(key_text, present) if k is not None]
        )
    else:
        bad = _fitting(mapping, unloaded_keys(alias, source, rows))
    bad = [key for key in _ours(alias, source, bad, table, result) if key is not None]
    result.outcome.pruned += delete_keys(alias, mapping, bad) if bad else 0
    if None in present or None in gone:
        drop_keyless(alias, source)


def _ours(
    alias: str, source: TableSource, keys: Sequence[str | None], table: str, result: Replayed
) -> list[str | None]:
    """The keys whose target row the engine wrote; the others are named, and not deleted."""
    if source.job.overwrite:
        return list(keys)
    known = [key for key in keys if key is not None]
    foreign = foreign_among(alias, source.job.mapping, known)
    if foreign:
        result.foreign.setdefault(table, []).extend(foreign)
    return [key for key in keys if key not in foreign]


def _drop_gone(
    alias: str, source: TableSource, gone: Sequence[str | None], outcome: Outcome
) -> None:
    """Target rows, kept cells and quarantine entries of keys that the legacy no longer has."""
    mapping = source.job.mapping
    keys = [key for key in gone if key is not None]
    for start in range(0, len(keys), _AT_ONCE):
        batch = keys[start : start + _AT_ONCE]
        outcome.pruned += delete_keys(alias, mapping, _fitting(mapping, batch))
        drop_records(alias, source, batch)


def _quarantined(alias: str, mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """Those of the keys that are in quarantine now, and may still be in the target."""
    rows = fetch_all(
        connections[alias],
        f"SELECT key FROM {QuarantinedRow._meta.db_table} WHERE {OF_TABLE} "
        "AND status <> 'repaired' AND key = ANY(%s)",
        [*mapping.identity, list(keys)],
    )
    return _fitting(mapping, [str(row[0]) for row in rows])


def _fitting(mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """Those keys that the target's key column can hold at all."""
    assert mapping.key is not None
    if not isinstance(mapping.key.kind, kinds.Key):
        return [key for key in keys if "\0" not in key]
    return [key for key in keys if whole_key(key) is not None]


def _present(alias: str, mapping: TableMapping, keys: Sequence[Key]) -> set[int]:
    """Which of the (integer) keys the target holds."""
    if mapping.key is None:
        return set()
    whole = [key for key in keys if isinstance(key, int)]
    column = quoted(mapping.key.target)
    rows = fetch_all(
        connections[alias],
        f"SELECT {column} FROM {mapping.relation} WHERE {column} = ANY(%s)",
        [whole],
    )
    return {int(row[0]) for row in rows}


def key_text(key: Key) -> str | None:
    """A key as the quarantine writes it."""
    if key is None:
        return None
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace").replace("\0", "\ufffd")
    return str(key).replace("\0", "\ufffd")
