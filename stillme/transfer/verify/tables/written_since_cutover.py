"""Rows that the application wrote in PostgreSQL after the cut-over.

The frozen legacy files do not have them, so a difference in such a row is no loss. A difference in
any other row is one. Reverse capture notes the keys (`transfer.reverse_change`). A TRUNCATE notes
none: then no row of the table can be compared.
"""

from __future__ import annotations

from contextlib import closing

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import FileState, ReverseChange
from stillme.transfer.plumbing.quoting import quoted
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.verify.result import NewLife
from stillme.transfer.verify.sides.row_query import read


def file_state(alias: str, file: str) -> str:
    """Where the file stands: absent, captured, loaded, following, live, rolled back."""
    states = FileState.objects.using(alias).filter(pk=file)
    return states.values_list("state", flat=True).first() or str(FileState.State.ABSENT)


def new_life(alias: str, mapping: TableMapping) -> NewLife:
    """What reverse capture noted of a table since the cut-over."""
    changes = ReverseChange.objects.using(alias).filter(relation=mapping.target).order_by()
    found = set(changes.values_list("key", flat=True).distinct())
    return NewLife(frozenset(key for key in found if key is not None), None in found)


def legacy_among(snapshot: Snapshot, mapping: TableMapping, new: NewLife) -> int:
    """How many legacy rows have such a key."""
    keys = mapping.key_columns
    if not keys or not (new.keys or new.everything):
        return 0
    with closing(snapshot.open()) as connection:
        connection.execute(f"CREATE TEMP TABLE written ({keys.legacy()})")
        # Also a key that SQLite stores otherwise than its column says.
        rows = ([value for _, value in key.bindings] for n in new.keys for key in keys.readings(n))
        marks = ", ".join("?" for _ in keys)
        connection.executemany(f"INSERT INTO temp.written VALUES ({marks})", rows)
        names = ", ".join(f"{quoted(name)} COLLATE BINARY" for name in keys.names)
        test = f"({names}) IN (SELECT * FROM temp.written)"
        where = "1" if new.everything else test
        query = f"SELECT count(*) FROM main.{quoted(mapping.table)} WHERE {where}"
        return int(connection.execute(query).fetchone()[0])


def target_among(alias: str, mapping: TableMapping, new: NewLife) -> int:
    """How many target rows have such a key."""
    if not mapping.key_columns or not (new.keys or new.everything):
        return 0
    key = mapping.key_columns.target_text()
    query = f"SELECT count(*) FROM {mapping.relation} WHERE %s OR {key} = ANY(%s)"
    return int(read(alias, query, [new.everything, sorted(new.keys)])[0][0])
