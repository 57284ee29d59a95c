"""The desk's list: what waits for a decision comes first, without a sort of the table.

PostgreSQL would sort all of a large quarantine by "is it open". The open rows and the others are
two queries instead, each in the order of the key's index.
"""

from __future__ import annotations

from django.contrib.admin.views.main import ORDER_VAR
from django.http import HttpRequest

from stillme.pages.lists.checked_list import CheckedChangeList
from stillme.transfer.models import QuarantinedRow


class OpenFirst(CheckedChangeList):
    """Open rows, then the others, each newest first; an order that a person chose stays."""

    def get_results(self, request: HttpRequest) -> None:
        """The rows of the page. Raises IncorrectLookupParameters for a page that is not there."""
        super().get_results(request)
        if ORDER_VAR in self.params:
            return
        whole = self.show_all and self.can_show_all
        size = self.list_max_show_all if whole else self.list_per_page
        start = (self.page_num - 1) * size if self.multi_page and not whole else 0
        end = start + size
        rows = self.queryset.order_by("-pk")
        is_open = {"status": QuarantinedRow.Status.OPEN}
        found = list(rows.filter(**is_open)[start:end])
        if len(found) < size:
            before = rows.filter(**is_open).order_by().values("pk")[:end].count()
            found += rows.exclude(**is_open)[max(0, start - before) : end - before]
        self.result_list = found
