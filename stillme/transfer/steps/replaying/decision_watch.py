"""Which rounds may make a file decide otherwise about the unit of its numbers.

To decide means to read whole tables, so a round is looked at first: most leave every decision as
it is, and that shows in their own rows. A column with 1700000000 holds seconds; a row with 5 in
the same column takes its unit away, and with it the meaning of the other number.
"""

from __future__ import annotations

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.clock.epochs import has_unit
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.syncing.file_decisions import Decisions
from stillme.transfer.steps.syncing.live_file import Round


class DecisionWatch:
    """Knows the decisions that the target was written under."""

    def __init__(self, decisions: Decisions, mappings: dict[str, TableMapping]) -> None:
        self.decisions = decisions
        self._mappings = mappings

    def may_change(self, found: Round) -> bool:
        """Whether with this round the file may decide otherwise."""
        ends = self.decisions.number_ends
        return any(
            any((table, key) in ends for key in found.keys[table])
            or any(self._moves_units(row, table, mapping) for row in found.rows.get(table, ()))
            for table, mapping in self._mappings.items()
            if table in found.keys
        )

    def _moves_units(self, row: RawRow, table: str, mapping: TableMapping) -> bool:
        units = self.decisions.units[table]
        for column in mapping.columns:
            if column.kind.is_time:
                storage, raw = row.cells[column.legacy]
                if storage in ("integer", "real"):
                    assert isinstance(raw, int | float)
                    if not has_unit(units.get(column.legacy), raw):
                        return True
        return False
