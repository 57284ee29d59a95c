"""Identity sequences after a load: the next id really is free."""

from __future__ import annotations

from django.db import connections

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import fetch_all, quoted


def set_sequence(alias: str, mapping: TableMapping, legacy_mark: int) -> int | None:
    """Raise the sequence to max(sqlite_sequence, max(id)). Returns its value.

    It is never lowered, except one at its very end, which gives no id to anybody any more: after
    the row that brought it there is gone it goes back behind every id that is in use. A mark beyond
    the sequence's end (3,000,000,000 for an AutoField) does not count: no row can have such an id.

    `max` and `setval` are two statements: Citus refuses them in one.
    """
    if not mapping.key_columns.is_whole:
        return None
    connection = connections[alias]
    column = mapping.key_columns.targets[0]
    sequence = fetch_all(
        connection, "SELECT pg_get_serial_sequence(%s, %s)", [mapping.relation, column]
    )[0][0]
    if sequence is None:
        return None
    top = fetch_all(connection, f"SELECT max({quoted(column)}) FROM {mapping.relation}")[0][0]
    last, called = fetch_all(connection, f"SELECT last_value, is_called FROM {sequence}")[0]
    largest = int(
        fetch_all(
            connection, "SELECT seqmax FROM pg_sequence WHERE seqrelid = %s::regclass", [sequence]
        )[0][0]
    )
    wanted = max(legacy_mark if legacy_mark <= largest else 0, top or 0)
    present = int(last) if called else int(last) - 1
    if wanted > present:
        fetch_all(connection, "SELECT setval(%s::regclass, %s, true)", [sequence, wanted])
    elif present == largest:
        return _set_back(alias, mapping, str(sequence), wanted, largest)
    return max(wanted, present)


def _set_back(alias: str, mapping: TableMapping, sequence: str, wanted: int, largest: int) -> int:
    """Behind the ids of both sides, those in quarantine among them; the value it has then."""
    aside = fetch_all(
        connections[alias],
        "SELECT max(CASE WHEN key ~ '^[0-9]{1,19}$' THEN key::numeric END)::text "
        f"FROM transfer.quarantined_row WHERE {OF_TABLE}",
        mapping.identity,
    )[0][0]
    last = max(wanted, int(aside or 0))
    if last < largest:
        value, called = (last, True) if last > 0 else (1, False)
        fetch_all(
            connections[alias], "SELECT setval(%s::regclass, %s, %s)", [sequence, value, called]
        )
    return min(last, largest)
