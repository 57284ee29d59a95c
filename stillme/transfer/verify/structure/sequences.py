"""Whether the next id is free: worked out, and then tried with an insert that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    models,
    transaction,
)

from stillme.postgresql.distributed import is_distributed
from stillme.postgresql.transaction_settings import set_local
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import split_table
from stillme.transfer.verify.sides.target_table import select, select_all

_TOP = "SELECT seqmax FROM pg_sequence WHERE seqrelid = '{}'::regclass"
_POSITION = "SELECT last_value, is_called FROM {}"
_EXHAUSTED = "no id left in the sequence"
_SET_BACK = "import_sqlite sets it back behind the ids that are in use"
# Not about the id: a standby, a frozen table, a role that may only read, somebody's lock.
_CANNOT_TRY = (
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.RaiseException,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.ObjectNotInPrerequisiteState,
)


@dataclass(frozen=True, slots=True)
class _Sequence:
    alias: str
    relation: str
    column: str
    name: str
    others: tuple[str, ...]


def check_sequence(alias: str, model: type[models.Model], legacy_mark: int) -> Iterator[Finding]:
    """Yield a finding unless the next id is free and above every id that the legacy ever gave."""
    schema, table = split_table(model._meta.db_table)
    key = model._meta.pk
    assert key is not None
    where = f"{schema}.{table}:{key.column}"
    relation = f'"{schema}"."{table}"'
    name = select(alias, "SELECT pg_get_serial_sequence(%s, %s)", [relation, key.column])[0][0]
    if name is None:
        if isinstance(key, models.AutoField | models.BigAutoField):
            yield Finding(FindingKind.SEQUENCE, where, None, "an identity sequence", "none")
        return
    fields = model._meta.local_concrete_fields
    others = tuple(str(f.column) for f in fields if f is not key and not f.generated)
    sequence = _Sequence(alias, relation, str(key.column), name, others)
    highest = f'SELECT coalesce(max("{key.column}"), 0) FROM {relation}'
    asked = [_POSITION.format(name), highest, _TOP.format(name.replace("'", "''"))]
    [(last, called)], [(greatest,)], [(top,)] = select_all(alias, asked)
    coming = last + 1 if called else last
    # No row of the target has an id beyond the top, whatever the legacy gave.
    needed = max(int(greatest), legacy_mark if legacy_mark <= top else 0)
    # At the top no id is left, on either side.
    if needed >= top:
        return
    problem = _tried(sequence, needed) if coming > needed else f"next id {coming}"
    if problem:
        note = _SET_BACK if problem == _EXHAUSTED else ""
        yield Finding(FindingKind.SEQUENCE, where, None, f"next id above {needed}", problem, note)


def _position(sequence: _Sequence) -> tuple[int, bool]:
    last, called = select(sequence.alias, _POSITION.format(sequence.name))[0]
    return int(last), bool(called)


def _tried(sequence: _Sequence, needed: int) -> str:
    """Return what is wrong with the id that PostgreSQL gives to a copy of some row, or "".

    Writers wait for that one insert. So no row of theirs can get a later id, and the id that the
    insert took can be given back.
    """
    try:
        with transaction.atomic(using=sequence.alias):
            problem = _insert(sequence, needed)
            transaction.set_rollback(True, using=sequence.alias)
    except DatabaseError as error:
        if isinstance(error.__cause__, _CANNOT_TRY):
            return ""
        raise
    return problem


def _insert(sequence: _Sequence, needed: int) -> str:
    locked = f"LOCK TABLE {sequence.relation} IN SHARE ROW EXCLUSIVE MODE"
    set_local(connections[sequence.alias], {"lock_timeout": "1s"})
    asked = [locked, _POSITION.format(sequence.name)]
    last, called = select_all(sequence.alias, asked)[-1][0]
    given: int | None = None
    problem = ""
    try:
        with transaction.atomic(using=sequence.alias):
            given = _copy_a_row(sequence)
    except DatabaseError as error:
        problem = _problem_of(sequence, error)
    if given is not None and given <= needed:
        problem = f"an insert was given {given}"
    if _position(sequence)[0] == (last + 1 if called else last):
        select(
            sequence.alias,
            "SELECT setval(%s::regclass, %s, %s)",
            [sequence.name, last, called],
        )
    return problem


def _copy_a_row(sequence: _Sequence) -> int | None:
    """Insert a copy of some row and return its id; None if the table is empty."""
    if not sequence.others:
        into = f"INSERT INTO {sequence.relation} DEFAULT VALUES"
        return int(select(sequence.alias, f'{into} RETURNING "{sequence.column}"')[0][0])
    names = ", ".join(f'"{name}"' for name in sequence.others)
    chosen = f"FROM {sequence.relation} LIMIT 1"
    into = f"INSERT INTO {sequence.relation} ({names})"
    key = f'RETURNING "{sequence.column}"'
    if not is_distributed(connections[sequence.alias], sequence.relation):
        rows = select(sequence.alias, f"{into} SELECT {names} {chosen} {key}")
        return int(rows[0][0]) if rows else None
    # From one table of a node into itself the ids would come from that node's own sequence.
    texts = ", ".join(f'"{name}"::text' for name in sequence.others)
    found = select(sequence.alias, f"SELECT {texts} {chosen}")
    if not found:
        return None
    marks = ", ".join(["%s"] * len(sequence.others))
    return int(select(sequence.alias, f"{into} VALUES ({marks}) {key}", found[0])[0][0])


def _problem_of(sequence: _Sequence, error: DatabaseError) -> str:
    """What a refused insert says; "" where it refuses the copy, not every row that may come."""
    cause = error.__cause__
    if isinstance(cause, psycopg.errors.UniqueViolation):
        # A copy may repeat what is unique besides the key.
        detail = cause.diag.message_detail or ""
        return "an id that is taken" if detail.startswith(f"Key ({sequence.column})=") else ""
    if isinstance(cause, psycopg.errors.SequenceGeneratorLimitExceeded):
        return _EXHAUSTED
    # A row that breaks another rule (a key to nowhere) breaks it as a copy as well.
    if isinstance(error, IntegrityError):
        return ""
    if isinstance(cause, _CANNOT_TRY) or isinstance(error, InterfaceError | OperationalError):
        raise error
    # A generated column, a trigger that fails: no row at all can be inserted.
    return f"an insert is refused: {str(error).partition(chr(10))[0]}"
