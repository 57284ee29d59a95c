"""What the whole of a file decides about its rows: clock, units of numbers, shapes of the tables.

A row means what it did before as long as these do; when one changes, rows that nobody wrote to
mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import Run, RunFile
from stillme.transfer.sqlite.clock import Clock
from stillme.transfer.sqlite.spans import Row, Span, first_difference, turning_rows

Units = dict[str, dict[str, str]]
Signature = dict[str, object]


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions for one file, `units` and `shapes` (mapping digests) by declared table.

    `number_ends` are rows with the least or greatest number of a time column.
    """

    clock: Clock = field(default_factory=Clock)
    units: Units = field(default_factory=dict)
    shapes: dict[str, str] = field(default_factory=dict)
    number_ends: frozenset[Row] = frozenset()

    @property
    def carriers(self) -> frozenset[Row]:
        """The rows without which something else might be decided."""
        return self.number_ends | turning_rows(self.clock.spans)

    def means_the_same(self, other: Decisions) -> bool:
        """Whether every row means the same under both."""
        mine, its = (d.clock.meaning for d in (self, other))
        return mine == its and (self.units, self.shapes) == (other.units, other.shapes)

    def signature(self) -> Signature:
        """Plain data for the ledger."""
        clock = self.clock
        return {
            "zone": clock.zone,
            "usual": clock.usual,
            "offsets": sorted(clock.evidence),
            "turns": clock.turns,
            "units": {table: found for table, found in self.units.items() if found},
            "shapes": dict(self.shapes),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """Which rows may mean something else than before.

    Those with local times from `since` on ("" is all, None is none), rows with evidence of their
    own among them where it is `everywhere`; those with numbers in the columns `numbers`, by
    declared table; all rows of the tables `whole`.
    """

    since: str | None = None
    everywhere: bool = False
    numbers: dict[str, list[str]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.since is not None or bool(self.numbers or self.whole)

    def sentence(self) -> str:
        """What has changed."""
        if self.since is not None:
            return "a row shows another clock offset"
        if self.numbers:
            return "the unit of numbers has changed"
        return f"the columns of {', '.join(sorted(self.whole))} have changed"


def loaded_signature(alias: str, file: str) -> Signature | None:
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
        "schema": row.schema_digest,
    }


def change_since(
    judged: Signature, now: Decisions, mappings: Mapping[str, TableMapping], schema: str
) -> Change:
    """What has changed since the decisions of that signature; `schema` is the file's digest."""
    known = {"turns": "", **judged}
    seen = now.signature()
    everywhere = any(known[name] != seen[name] for name in ("zone", "usual"))
    local = everywhere or any(known[name] != seen[name] for name in ("offsets", "turns"))
    shapes = known.get("shapes", now.shapes)
    if "shapes" not in known and known.get("schema", schema) != schema:
        shapes = dict.fromkeys(now.shapes, "")
    units = known.get("units", now.units)
    assert isinstance(units, dict)
    assert isinstance(shapes, dict)
    since = "" if local else None
    return Change(since, everywhere, _numbers(units, now, mappings), _whole(shapes, now))


def change_between(
    before: Decisions, now: Decisions, mappings: Mapping[str, TableMapping]
) -> Change:
    """What has changed since the file was decided so."""
    since, everywhere = clock_difference(before.clock, now.clock)
    numbers = _numbers(before.units, now, mappings)
    return Change(since, everywhere, numbers, _whole(before.shapes, now))


def clock_difference(before: Clock, after: Clock) -> tuple[str | None, bool]:
    """(`since`, `everywhere`) of the change from one clock to another."""
    if before.meaning == after.meaning:
        return None, False
    everywhere = (before.zone, before.usual) != (after.zone, after.usual)
    return ("" if everywhere else first_difference(_spans(before), _spans(after))), everywhere


def _spans(clock: Clock) -> tuple[Span, ...]:
    return clock.spans or (Span("", "", clock.usual),)


def _numbers(
    before: Units, now: Decisions, mappings: Mapping[str, TableMapping]
) -> dict[str, list[str]]:
    numbers = {}
    for table, mapping in mappings.items():
        was, is_now = before.get(table, {}), now.units[table]
        names = [c.legacy for c in mapping.columns if was.get(c.legacy) != is_now.get(c.legacy)]
        if names:
            numbers[table] = names
    return numbers


def _whole(before: Mapping[str, str], now: Decisions) -> frozenset[str]:
    """A table that is new is none of them: it has to be captured and loaded."""
    return frozenset(t for t, shape in now.shapes.items() if before.get(t, shape) != shape)
