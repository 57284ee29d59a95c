"""The inspection in words: what is there, what drifted, what will load. On a terminal, as Markdown.

Both print the same lines and tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

from stillme.transfer.identity import TableId
from stillme.transfer.registry import table_label
from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import WIDTH, print_rows
from stillme.transfer.sqlite.clock.file_clock import format_offset
from stillme.transfer.sqlite.schema.profile import Bound, ColumnProfile
from stillme.transfer.steps.inspect_result import FileInspection, Inspection, TableInspection
from stillme.visible import in_one_line

_MOST_ZONES = 12
# A line with this mark is the name of a file: what follows is about it.
_FILE = "file"
_COLOURS = {"quarantined": "red", "kept original": "cyan"}


class Line(NamedTuple):
    """A sentence; `mark` says what kind of news it is, "" for plain facts."""

    mark: str
    text: str


class Grid(NamedTuple):
    """A table: columns of words, then of figures."""

    title: str
    words: Sequence[str]
    figures: Sequence[str]
    rows: Sequence[Sequence[str | int]]


@or_json(lambda result: result.as_dict())
def render_inspection(console: Console, result: Inspection) -> None:
    """Print it as text or JSON."""
    for part in _parts(result):
        if isinstance(part, Grid):
            rows = [[escape(c) if isinstance(c, str) else c for c in row] for row in part.rows]
            print_rows(console, escape(part.title), part.words, part.figures, rows)
            continue
        text = escape(part.text)
        if part.mark == _FILE:
            text = f"[bold]== {text} ==[/]"
        elif part.mark:
            text = f"[{_COLOURS.get(part.mark, 'yellow')}]{part.mark}[/] {text}"
        console.print(text, width=min(console.width, WIDTH))


def inspection_markdown(result: Inspection) -> str:
    """The whole document: a section per file, a table per legacy table."""
    parts = ["# Inspection of the legacy files"]
    for part in _parts(result):
        if isinstance(part, Grid):
            rows = [[f"{c:,}" if isinstance(c, int) else c for c in row] for row in part.rows]
            table = markdown_table([*part.words, *part.figures], rows)
            parts.append(f"### {part.title}\n\n{table}")
        else:
            mark = f"**{part.mark}** " if part.mark else ""
            text = in_one_line(part.text)
            parts.append(f"## {text}" if part.mark == _FILE else mark + text)
    return "\n\n".join(parts) + "\n"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; what would end a cell or steer a terminal is spelled out."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([in_one_line(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _parts(result: Inspection) -> Iterator[Line | Grid]:
    """File by file, then what concerns all of them."""
    for file in result.files:
        yield Line(_FILE, file.file)
        yield Line("", facts(file))
        if file.clock is not None:
            yield Line("", clock_sentence(file))
        yield from (Line("drift", drift.sentence()) for drift in file.drift)
        yield from (Line("note", f"{notice}.") for notice in file.notices)
        for table in file.tables:
            yield from _table(table)
    for other in result.others:
        text = f"next to them: {other.name}, {other.size:,} bytes ({other.what}): not imported"
        yield Line("", text)
    yield from (Line("note", notice) for notice in result.notices)
    figures = ("rows", "clean", "repaired", "quarantined")
    yield Grid("What an import will do", ("legacy table",), figures, summary_rows(result))
    for store in result.stores:
        for reason, rows in sorted(store.outcome.reasons.items()):
            yield Line("quarantined", f"{rows:,} {reason} in {store.table}")
    yield from (Line("to decide", question) for question in result.open_questions)
    yield Line("", verdict(result))


def _table(table: TableInspection) -> Iterator[Line | Grid]:
    found = table.prediction
    rows = [(c.name, storage(c), bounds(c), details(c)) for c in found.columns]
    title = f"{table.table} -> {table.target}: {found.rows:,} rows"
    yield Grid(title, ("column", "stored", "from / to", "what"), (), rows)
    for (column, reason), cells in sorted(found.repairs.items()):
        yield Line("kept original", f"{column}: {cells:,} {reason}")
    for reason, count in sorted(found.reasons.items()):
        yield Line("quarantined", f"{count:,} {reason}")
        for example in found.examples:
            if example.reason == reason:
                where = f"{example.column} of " if example.column else ""
                yield Line("", f"   e.g. {where}row {example.key}: {example.sentence}")
    if found.long_keys:
        yield Line(
            "note",
            f"{found.long_keys} keys are so long that only PostgreSQL can tell whether its index "
            "takes them",
        )


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
        f"{rows:,} rows at {format_offset(minutes)}" for minutes, rows in clock.evidence.items()
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
    return f"; it fits LEGACY_TIME_ZONE={file.zones[0]}, or another of {shown}{more}"


def summary_rows(result: Inspection) -> list[tuple[str, int, int, int, int]]:
    """Table, rows, clean, repaired, quarantined; the stores' tables last."""
    rows = []
    for file in result.files:
        for table in file.tables:
            name, found = table_label(TableId(file.file, table.table)), table.prediction
            rows.append((name, found.rows, found.loaded, found.repaired, found.quarantined))
    for store in result.stores:
        o = store.outcome
        rows.append((store.table, o.legacy_rows, o.loaded, o.repaired, o.quarantined))
    return rows


def verdict(result: Inspection) -> str:
    """The last line."""
    counted = summary_rows(result)
    rows = sum(row[1] for row in counted)
    repaired = sum(row[3] for row in counted)
    text = f"{rows:,} rows looked at in {result.seconds:.1f} s: "
    if result.quarantined:
        text += f"{result.quarantined:,} will be quarantined, {repaired:,} repaired"
    else:
        text += f"all will load, {repaired:,} of them repaired"
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
