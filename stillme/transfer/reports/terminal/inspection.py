"""The inspection in words, and on a terminal: what is there, what drifted, what will load."""

from __future__ import annotations

from rich.console import Console

from stillme.transfer.identity import TableId
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.registry import table_label
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import marked, print_rows, tell
from stillme.transfer.sqlite.clock.file_clock import format_offset
from stillme.transfer.sqlite.schema.profile import Bound, ColumnProfile
from stillme.transfer.steps.inspect_result import FileInspection, Inspection, TableInspection
from stillme.visible import counted

_MOST_ZONES = 12


@or_json(lambda result: result.as_dict())
def render_inspection(console: Console, result: Inspection) -> None:
    """Print it as text or JSON."""
    for file in result.files:
        _file(console, file)
    _others(console, result)
    for notice in result.notices:
        tell(console, notice, "note")
    figures = ("rows", "clean", "repaired", "quarantined")
    counts = summary_rows(result)
    print_rows(console, "What an import will do", ("legacy table",), figures, counts)
    for store in result.stores:
        for reason, rows in sorted(store.outcome.reasons.items()):
            tell(console, f"{rows:,} {reason} in {store.table}", "quarantined", "red")
    for question in result.open_questions:
        tell(console, question, "to decide")
    tell(console, verdict(result))


def _file(console: Console, file: FileInspection) -> None:
    console.print(marked("bold", f"== {file.file} =="))
    tell(console, facts(file))
    if file.clock is not None:
        tell(console, clock_sentence(file))
    for drift in file.drift:
        tell(console, drift.sentence(), "drift")
    for notice in file.notices:
        tell(console, f"{notice}.", "note")
    for table in file.tables:
        _table(console, table)


def facts(file: FileInspection) -> str:
    """Where the file is and what it is."""
    if file.state != "present":
        return f"{file.path}: {file.state}"
    return (
        f"{file.path}: {file.size:,} bytes, journal {file.journal_mode}, "
        f"user_version {file.user_version}"
    )


def clock_sentence(file: FileInspection) -> str:
    """The decision about the file's local clock and what it rests on."""
    clock = file.clock
    assert clock is not None
    found = ", ".join(
        f"{counted(rows, 'row')} at {format_offset(minutes)}"
        for minutes, rows in clock.evidence.items()
    )
    evidence = f"evidence: {found}" if found else "no row shows its offset"
    if clock.zone:
        return f"local clock: LEGACY_TIME_ZONE={clock.zone}; {evidence}{_zones(file)}"
    if not clock.evidence and not file.open_clock:
        return "local clock: no local times in this file"
    several = "; rows that show no offset are read at this one, which is a guess"
    told = several if len(clock.evidence) > 1 else ""
    return f"local clock: usually {format_offset(clock.usual)}{told}; {evidence}{_zones(file)}"


def _zones(file: FileInspection) -> str:
    """The zones that fit, ready to paste."""
    if not file.zones:
        return "; no time zone fits all of it" if file.clock and file.clock.evidence else ""
    shown = ", ".join(file.zones[:_MOST_ZONES])
    left = len(file.zones) - _MOST_ZONES
    more = f" and {left} more (all of them in --format json)" if left > 0 else ""
    return f"; LEGACY_TIME_ZONE fits as {shown}{more}"


def _table(console: Console, table: TableInspection) -> None:
    prediction = table.prediction
    title = f"{table.table} -> {table.target}: {counted(prediction.legacy_rows, 'row')}"
    columns = [
        (column.name, storage(column), bounds(column), details(column))
        for column in prediction.columns
    ]
    print_rows(console, title, ("column", "stored", "from / to", "what"), (), columns)
    for (column, reason), cells in sorted(prediction.repairs.items()):
        tell(console, f"{column}: {cells:,} {reason}", "kept original", "cyan")
    for reason, rows in sorted(prediction.reasons.items()):
        tell(console, f"{rows:,} {reason}", "quarantined", "red")
        for example in prediction.examples:
            if example.reason == reason:
                where = f"{example.column} of " if example.column else ""
                text = f"   e.g. {where}row {example.key}: {example.sentence}"
                tell(console, text)
    if prediction.long_keys:
        tell(
            console,
            f"{counted(prediction.long_keys, 'very long key')}: only PostgreSQL can tell whether "
            "its index takes that",
            "note",
        )
    console.print()


def _others(console: Console, result: Inspection) -> None:
    for other in result.others:
        text = f"next to them: {other.name}, {other.size:,} bytes ({other.what}): not imported"
        tell(console, text)


def summary_rows(result: Inspection) -> list[tuple[str, int, int, int, int]]:
    """Table, rows, clean, repaired, quarantined; the stores' tables last."""
    found: list[tuple[str, Outcome]] = [
        (table_label(TableId(file.file, table.table)), table.prediction)
        for file in result.files
        for table in file.tables
    ]
    found += [(store.table, store.outcome) for store in result.stores]
    return [(name, o.legacy_rows, o.loaded, o.repaired, o.quarantined) for name, o in found]


def verdict(result: Inspection) -> str:
    """The last line."""
    tables = summary_rows(result)
    rows = sum(row[1] for row in tables)
    repaired = sum(row[3] for row in tables)
    text = f"{counted(rows, 'row')} looked at in {result.seconds:.1f} s: "
    if result.quarantined:
        text += f"{result.quarantined:,} will be quarantined, {repaired:,} repaired"
    else:
        text += f"all will load, {repaired:,} of them repaired"
    if result.unreadable:
        text += "; a store could not be read, and is not among them"
    return text + ". Nothing was written. Next: `manage.py import_sqlite`."


# Of a time the day is shown; JSON has the whole value.
_DAY = 10


def storage(column: ColumnProfile) -> str:
    """``text 290, null 10``."""
    found = sorted(column.storage.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {rows:,}" for name, rows in found if rows)


def bounds(column: ColumnProfile) -> str:
    """Least and greatest value, where the kind has an order."""
    if column.low is None:
        return ""
    low, high = _bound(column.low), _bound(column.high)
    between = " " if isinstance(column.low, str) else " / "
    return low if low == high else f"{low}{between}{high}"


def details(column: ColumnProfile) -> str:
    """Kind, longest text, shapes and troubles."""
    parts = [column.kind if column.target == column.name else f"{column.kind} -> {column.target}"]
    if column.longest:
        parts.append(f"longest {column.longest:,}")
    parts += [f"{shape} {rows:,}" for shape, rows in sorted(column.shapes.items())]
    parts += [f"{trouble} {rows:,}" for trouble, rows in sorted(column.troubles.items())]
    if column.orphans:
        parts.append(f"orphans {column.orphans:,}")
    if column.repeats:
        parts.append(f"keys stored twice {column.repeats:,}")
    return "; ".join(parts)


def _bound(value: Bound) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return (value or "")[:_DAY]
