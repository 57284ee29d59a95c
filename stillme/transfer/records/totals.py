"""How many rows became what: one source for status, dashboard and reports, each with its moment.

What a file held and what was loaded or repaired is as of the last import of each table. What is
set aside, and what was mended by hand and loaded, is as of now, from the quarantine itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connections

from stillme.postgresql.statements import fetch_all
from stillme.transfer.models import RunTable

# At most so many rows of the quarantine are counted, where a limit is given.
_NOW = """
SELECT file, "table",
       count(*) FILTER (WHERE status = 'open'),
       count(*) FILTER (WHERE status = 'accepted'),
       count(*) FILTER (WHERE status = 'repaired' AND repairs <> '{}'::jsonb)
FROM (SELECT file, "table", status, repairs FROM transfer.quarantined_row LIMIT %s) counted
GROUP BY 1, 2
"""


@dataclass(slots=True)
class Totals:
    """One legacy table, or several added up.

    `legacy_rows`, `loaded`, `repaired` and `quarantined` are of the last import, at `as_of`;
    `open`, `accepted` and `mended` (edited, loaded: not set aside) are of now.
    """

    file: str
    table: str = ""
    target: str = ""
    as_of: datetime | None = None
    legacy_rows: int = 0
    loaded: int = 0
    repaired: int = 0
    quarantined: int = 0
    open: int = 0
    accepted: int = 0
    mended: int = 0

    @property
    def set_aside(self) -> int:
        """Rows that are not in the target."""
        return self.open + self.accepted

    @property
    def in_target(self) -> int:
        """Legacy rows of the last import that the target has."""
        return max(0, self.legacy_rows - self.set_aside)

    @property
    def accounted(self) -> bool:
        """Whether the last import knew of every row what became of it."""
        return self.legacy_rows == self.loaded + self.repaired + self.quarantined


def table_totals(alias: str, counted: int | None = None) -> list[Totals]:
    """Every table that was imported, or of which rows are in quarantine, by file and table."""
    found: dict[tuple[str, str], Totals] = {}
    tables = RunTable.objects.using(alias).filter(run__command="import_sqlite")
    last = tables.order_by("file", "table", "-run_id").distinct("file", "table")
    for row in last.select_related("run"):
        found[row.file, row.table] = Totals(
            row.file, row.table, row.target, row.run.started_at,
            row.legacy_rows, row.loaded, row.repaired, row.quarantined,
        )  # fmt: skip
    for file, table, *now in fetch_all(connections[alias], _NOW, [counted]):
        totals = found.setdefault((file, table), Totals(file, table))
        totals.open, totals.accepted, totals.mended = now
    return [found[key] for key in sorted(found)]


def added_up(tables: Iterable[Totals], file: str = "") -> Totals:
    """The sum of tables (of one file); `as_of` is the newest import among them."""
    whole = Totals(file)
    for each in tables:
        if file and each.file != file:
            continue
        for name in ("legacy_rows", "loaded", "repaired", "quarantined", "open", "accepted",
                     "mended"):  # fmt: skip
            setattr(whole, name, getattr(whole, name) + getattr(each, name))
        whole.as_of = max(filter(None, (whole.as_of, each.as_of)), default=None)
    return whole
