"""Taking the inventory of legacy files, with the decisions that were made about it.

What a file holds is asked of the file; what is carried, of the mapping; what is left, of the
ledger. The rest is open.
"""

from __future__ import annotations

import getpass
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from types import MappingProxyType

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.entries import InventoryLine, open_lines
from stillme.transfer.inventory.stores import stores
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.mapping import map_table, split_table
from stillme.transfer.models import LeftByDecision
from stillme.transfer.plumbing.presence import absence
from stillme.transfer.plumbing.quoting import quoted
from stillme.transfer.project.models import decision_about, why_not_carried
from stillme.transfer.registry import LegacyFile, legacy_files, legacy_models
from stillme.transfer.sqlite.capture.templates import CHANGE_TABLE, CHANGE_TABLE_SQL
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.sqlite.schema.found import Content, FoundSchema, contents, folded, read_schema

DECIDE = "decide with `manage.py inventory`"
_VAIN = (
    "a generated column of which nothing is stored, and which cannot be computed here (its "
    f"expression fails, or calls a function of the program that wrote the file); {DECIDE}"
)
_NOT_KEPT = (
    "no model declares this column, and the target has no column legacy_extra to keep it in; "
    f"declare it, or {DECIDE}"
)


def inventory_of(
    snapshot: Snapshot, alias: str | None, known: Mapping[str, int] = MappingProxyType({})
) -> list[InventoryLine]:
    """The inventory of one snapshot; without `alias` nobody's decisions are known.

    Tables of which the number of rows is `known` are not counted again.
    """
    with closing(snapshot.open()) as connection:
        found = contents(connection, known=known)
    return with_decisions(alias, _lines(snapshot.file, snapshot.schema, found))


def live_inventory(
    alias: str | None, *, count: bool = True, with_stores: bool = True
) -> list[InventoryLine]:
    """The inventory of every legacy file and store as it is now. Raises TransferError."""
    lines: list[InventoryLine] = []
    for file in legacy_files():
        lines += _of_live_file(file, count=count)
    for store in stores() if with_stores else ():
        if store.is_present():
            lines += store.inventory()
    return with_decisions(alias, lines)


def _of_live_file(file: LegacyFile, *, count: bool) -> list[InventoryLine]:
    if absence(file.path):
        return []
    with closing(open_legacy(file.path)) as connection:
        return _lines(file.name, read_schema(connection), contents(connection, count=count))


def _lines(file: str, schema: FoundSchema, found: Sequence[Content]) -> list[InventoryLine]:
    declared = {folded(m._meta.db_table): m for m in legacy_models(file)}
    missing = {name for name in declared if schema.table(name) is None}
    lines = []
    for content in found:
        name = folded(content.name)
        table = schema.table(content.name)
        # A column is called table.column: a decision about one must not be about the other.
        shown = quoted(content.name) if "." in content.name else content.name
        if name == CHANGE_TABLE and table is not None and table.sql == CHANGE_TABLE_SQL:
            # Our own log; another program's table of that name is not.
            continue
        if content.what == "table" and name in declared:
            target = ".".join(split_table(declared[name].target_model()._meta.db_table))
            lines.append(InventoryLine(file, content.name, content.rows, "carried", target))
            lines += _open_columns(file, declared[name], schema)
        elif reason := decision_about(file, content.name):
            lines.append(InventoryLine(file, shown, content.rows, "left", why=reason))
        elif content.what != "view" or name in missing:
            why = _why(file, content, schema, missing)
            lines.append(InventoryLine(file, shown, content.rows, "open", why=why))
    return lines


def _open_columns(
    file: str, model: type[LegacyModel], schema: FoundSchema
) -> Iterator[InventoryLine]:
    """Columns of a carried table that nothing carries."""
    table, mapping = schema.table(model._meta.db_table), map_table(model, schema)
    assert table is not None
    assert mapping is not None
    computed = {f.column for f in model.target_model()._meta.local_concrete_fields if f.generated}
    vain = [name for name in table.vain if name not in computed]
    why = {**dict.fromkeys(vain, _VAIN), **dict.fromkeys(mapping.not_carried, _NOT_KEPT)}
    for column, sentence in why.items():
        yield InventoryLine(file, f"{table.name}.{column}", None, "open", why=sentence)


def _why(file: str, content: Content, schema: FoundSchema, missing: Iterable[str]) -> str:
    if content.what != "table" and folded(content.name) in missing:
        return f"a {content.what} stands where the table is declared; {DECIDE}"
    if reason := why_not_carried(file, content.name):
        return f"{reason}; {DECIDE}"
    table = schema.table(content.name)
    names = {folded(c.name) for c in table.columns} if table else set()
    for each in sorted(missing):
        model = next(m for m in legacy_models() if folded(m._meta.db_table) == each)
        if names >= {folded(str(c.column)) for c in model.columns()}:
            return f"no model declares this {content.what}; it has the columns of {each}; {DECIDE}"
    return f"no model declares this {content.what}; {DECIDE}"


def with_decisions(alias: str | None, lines: Sequence[InventoryLine]) -> list[InventoryLine]:
    """The lines, those that somebody decided to leave marked so."""
    if alias is None:
        return list(lines)
    decided = {(d.file, d.name): d for d in LeftByDecision.objects.using(alias)}
    found = []
    for line in lines:
        decision = decided.get((line.file, line.name))
        if line.fate == "open" and decision is not None:
            when = decision.decided_at.isoformat(timespec="seconds")
            line = replace(line, fate="left", why=decision.note, who=decision.decided_by, when=when)
        found.append(line)
    return found


def leave(alias: str, wanted: Sequence[str], note: str) -> None:
    """Decide that ``file.name``s stay behind, with the reason. Raises TransferError."""
    if not note.strip():
        raise TransferError("Leaving something behind needs a reason: give --note TEXT.")
    lines = {f"{line.file}.{line.name}": line for line in open_lines(live_inventory(alias))}
    for name in wanted:
        if name not in lines:
            known = ", ".join(lines) or "nothing is open"
            raise TransferError(f"{name!r} is not open in the inventory: {known}.")
    for line in map(lines.__getitem__, wanted):
        LeftByDecision.objects.using(alias).create(
            file=line.file,
            name=line.name,
            rows=line.rows,
            note=note.strip(),
            decided_by=who_decides(),
        )


def reopen(alias: str, wanted: Sequence[str]) -> None:
    """Take such decisions back. Raises TransferError for an unknown one."""
    decided = {f"{d.file}.{d.name}": d for d in LeftByDecision.objects.using(alias)}
    for name in wanted:
        if name not in decided:
            known = ", ".join(sorted(decided)) or "nothing was left"
            raise TransferError(f"Nobody decided to leave {name!r} behind: {known}.")
    for name in wanted:
        decided[name].delete(using=alias)


def who_decides() -> str:
    """The operating system's name of who runs this."""
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return "unknown"


def readable_inventory(
    alias: str | None, *, with_stores: bool = True
) -> tuple[list[InventoryLine], str]:
    """`live_inventory` for a page: whether rows are there, not how many; "" or what went wrong."""
    try:
        return live_inventory(alias, count=False, with_stores=with_stores), ""
    except TransferError as error:
        return [], str(error)
    except (OSError, sqlite3.Error) as error:
        return [], f"the legacy files cannot be read: {error}"
