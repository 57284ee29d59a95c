"""Lists whose address asks for what cannot be: a wrong parameter, told as such, never a fault."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import (
    EmptyResultSet,
    FieldError,
    FullResultSet,
    ValidationError,
)
from django.db.models import QuerySet
from django.http import HttpRequest

from stillme.pages.looks import ChangeList

# A filter counts its values in so many rows.
SAMPLED = 10_000
_WRONG = (ArithmeticError, LookupError, TypeError, ValueError, FieldError, ValidationError)


class CheckedChangeList(ChangeList):  # type: ignore[misc]
    """Filters are made into SQL here, where Django still expects a wrong one."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The filtered rows. Raises IncorrectLookupParameters."""
        if any("range" in name.split("__") for name in self.get_filters_params()):
            # Its two ends come as one text from an address, and are taken letter by letter.
            raise IncorrectLookupParameters("range")
        try:
            rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
            rows.query.get_compiler(rows.db).as_sql()
        except (EmptyResultSet, FullResultSet):
            return rows
        except _WRONG as error:
            raise IncorrectLookupParameters(error) from error
        return rows

    def looked_at(self, request: HttpRequest, without: list[str]) -> QuerySet[Any]:
        """Of the newest rows, those that all filters but one choose; for counting its values."""
        newest = self.root_queryset.order_by("-pk").values("pk")[:SAMPLED]
        chosen = self.get_queryset(request, without).filter(pk__in=newest)
        return chosen.order_by()[:SAMPLED]

    @property
    def is_part(self) -> bool:
        """Whether the list itself looks at a part of the table only."""
        return False


class CheckedAdmin:
    """For the bases of a ModelAdmin: odd parameters are answered, never a fault."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CheckedChangeList]:
        """The list that tells a wrong parameter from a fault."""
        return CheckedChangeList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Django's; an empty `_to_field` stands for none."""
        return super().get_object(request, object_id, from_field or None)  # type: ignore[misc]
