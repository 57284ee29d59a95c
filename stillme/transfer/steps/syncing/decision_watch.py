"""Which rounds may make a file decide otherwise about its rows.

To decide means to read whole tables, so a round is looked at first: most leave every decision as
it is, and that shows in their own rows.
"""

from __future__ import annotations

from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.epochs import has_unit
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.syncing.decisions import Decisions
from stillme.transfer.steps.syncing.live_file import Round


class DecisionWatch:
    """Knows the decisions that the target was written under."""

    def __init__(self, decisions: Decisions, mappings: dict[str, TableMapping]) -> None:
        self.decisions = decisions
        self._mappings = mappings
        self._carriers = decisions.carriers
        self._left = sum(decisions.clock.evidence.values())

    def may_change(self, found: Round) -> bool:
        """Whether with this round the file may decide otherwise."""
        return any(
            any((table, key) in self._carriers for key in found.keys[table])
            or self._moves_clock(found, table, mapping)
            or any(self._moves_units(row, table, mapping) for row in found.rows.get(table, ()))
            for table, mapping in self._mappings.items()
            if table in found.keys
        )

    def _moves_clock(self, found: Round, table: str, mapping: TableMapping) -> bool:
        if mapping.clock is None or self.decisions.clock.zone is not None:
            return False
        keys = found.keys[table]
        # What was there before is not known: every row may have been evidence, and be none now.
        self._left -= len(keys)
        return (bool(self.decisions.clock.evidence) and self._left <= 0) or any(
            self._is_news(row, mapping) for row in found.rows.get(table, ())
        )

    def _is_news(self, row: RawRow, mapping: TableMapping) -> bool:
        if row.row_offset is None:
            return False
        assert mapping.clock is not None
        local = row.cells[mapping.clock.local][1]
        assert isinstance(local, bytes)
        return not self.decisions.clock.is_settled(local.decode(), row.row_offset)

    def _moves_units(self, row: RawRow, table: str, mapping: TableMapping) -> bool:
        units = self.decisions.units[table]
        for column in mapping.columns:
            if isinstance(column.kind, Timestamp | Date):
                storage, raw = row.cells[column.legacy]
                if storage in ("integer", "real"):
                    assert isinstance(raw, int | float)
                    if not has_unit(units.get(column.legacy), raw):
                        return True
        return False
