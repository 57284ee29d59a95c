"""Page numbers of lists with any number of rows: counted up to a bound, estimated beyond it."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from django.core.paginator import Paginator
from django.db import connections
from django.db.models import QuerySet

# Up to here a list says exactly how many rows it has; counting them costs some milliseconds.
COUNTED = 10_000

_ESTIMATE = "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)"


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]
    """Counts a few thousand rows exactly, and estimates beyond.

    An unfiltered list takes `pg_class.reltuples` (by the schema-qualified name), a filtered one
    what the planner expects. Both lag behind until the next ANALYZE, which costs a page number,
    never a row.
    """

    @cached_property
    def num_pages(self) -> int:
        """Pages by number end where an OFFSET gets slow; the list goes on by key."""
        return min(int(super().num_pages), max(1, COUNTED // self.per_page))

    @property
    def is_estimate(self) -> bool:
        """Whether `count` was not counted."""
        return isinstance(self.object_list, QuerySet) and self.count > COUNTED

    @cached_property
    def count(self) -> int:
        """Exact up to `COUNTED`, else estimated and never less than what was counted."""
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return super().count
        counted = rows.order_by().values("pk")[: COUNTED + 1].count()
        if counted <= COUNTED:
            return counted
        estimate = 0 if rows.query.where else table_rows(rows)
        # A filtered list, a table never analysed, or one whose rows are on another node.
        return max(counted, estimate if estimate > 0 else planned_rows(rows))


def table_rows(rows: QuerySet[Any]) -> int:
    """PostgreSQL's estimate of a whole table."""
    with connections[rows.db].cursor() as cursor:
        cursor.execute(_ESTIMATE, [rows.model._meta.db_table])
        found = cursor.fetchone()
    return int(found[0] or 0) if found else 0


def planned_rows(rows: QuerySet[Any]) -> int:
    """How many rows the planner expects of a query."""
    plan = json.loads(rows.order_by().values("pk").explain(format="json"))
    return int(_remote_plan(plan[0]["Plan"])["Plan Rows"])


def _remote_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan of the node that has the rows, where Citus shows it within its own."""
    tasks = plan.get("Distributed Query", {}).get("Job", {}).get("Tasks", [])
    return tasks[0]["Remote Plan"][0][0]["Plan"] if tasks else plan
