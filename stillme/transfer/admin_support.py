"""The admin of large, migrated tables: read-only by default, and no COUNT over a table.

`TargetAdmin` is the base of every target model's page. Lists count at most `COUNTED` rows and
take PostgreSQL's own estimate beyond; long texts are cut by the database; JSON is indented and
not escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import connections, models
from django.db.models import F, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase
from django.urls import path
from unfold.admin import ModelAdmin

from stillme.transfer.admin_dates import SparseDates
from stillme.transfer.console.big_list import BEFORE, BigChangeList
from stillme.transfer.console.cells import json_html, text_html
from stillme.transfer.console.export import export_response
from stillme.transfer.console.permissions import named_permissions
from stillme.transfer.console.related import Related
from stillme.transfer.console.side_by_side import legacy_table

# Up to here a list says exactly how many rows it has; counting them costs some milliseconds.
COUNTED = 10_000
# A filter's choices are the values found in this many of the newest rows.
SAMPLED = 10_000
EXCERPT = 90
# Columns that no list shows and that may be long.
HEAVY = ("metadata", "legacy_extra", "summary")

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
    return int(plan[0]["Plan"]["Plan Rows"])


class FrequentValuesFilter(admin.FieldListFilter):
    """A filter of a free-text column: the values of the newest rows, found without a full scan."""

    def __init__(
        self,
        field: models.Field[Any, Any],
        request: HttpRequest,
        params: dict[str, Any],
        model: type[models.Model],
        model_admin: admin.ModelAdmin[Any],
        field_path: str,
    ) -> None:
        self.lookup = field_path
        self.value = (params.get(field_path) or [None])[-1]
        newest = model._default_manager.order_by("-pk").values(field_path)[:SAMPLED]
        values = set(newest.values_list(field_path, flat=True))
        self.values = sorted(v for v in values if v is not None)[:50]
        super().__init__(field, request, params, model, model_admin, field_path)

    def expected_parameters(self) -> list[str | None]:
        """The column itself."""
        return [self.lookup]

    def choices(self, changelist: Any) -> Any:
        """ "All", then each value."""
        yield {
            "selected": self.value is None,
            "query_string": changelist.get_query_string(remove=[self.lookup]),
            "display": "All",
        }
        for value in self.values:
            yield {
                "selected": self.value == value,
                "query_string": changelist.get_query_string({self.lookup: value}),
                "display": value[:60] or "(empty)",
            }


def excerpt(field: str) -> Callable[[Any, Any], str]:
    """A list column with the beginning of a long text, cut by the database."""

    def shown(self: Any, row: Any) -> str:
        cut = f"_{field}_excerpt"
        text = getattr(row, cut if hasattr(row, cut) else field) or ""
        return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"

    shown.excerpt_of = field  # type: ignore[attr-defined]
    shown.short_description = field.replace("_", " ")  # type: ignore[attr-defined]
    shown.admin_order_field = field  # type: ignore[attr-defined]
    return shown


def readable_json(field: str) -> Callable[[Any, Any], str]:
    """A detail column with JSON indented, its letters unescaped, foldable where it is long."""

    def shown(self: Any, row: Any) -> str:
        return json_html(getattr(row, field))

    shown.short_description = field.replace("_", " ")  # type: ignore[attr-defined]
    return shown


def readable_text(field: models.Field[Any, Any]) -> Callable[[Any], str]:
    """A detail column with text, clipped and foldable where it is long."""

    def shown(row: Any) -> str:
        return text_html(getattr(row, field.attname))

    shown.__name__ = field.name
    shown.short_description = field.verbose_name  # type: ignore[attr-defined]
    return shown


class TargetAdmin(ModelAdmin):  # type: ignore[misc]
    """Base page of a target model.

    Rows can be looked at by whoever may view them. They can be changed only by a user to whom
    (or to one of whose groups) the model's change permission was given by name; being a
    superuser alone is not enough, so that nobody corrects migrated data by accident. Nothing is
    added or deleted here.
    """

    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50
    list_max_show_all = 200
    show_facets = admin.ShowFacets.NEVER
    actions = None
    ordering: ClassVar[list[str]] = ["-pk"]
    excerpts: ClassVar[tuple[str, ...]] = ()
    related: ClassVar[tuple[Related, ...]] = ()
    list_after_template = "console/list_tools.html"

    class Media:
        """The looks of the side-by-side table, and the buttons that copy a key."""

        css: ClassVar = {"all": ["console/console.css"]}
        js: ClassVar = ["console/copy.js"]

    metadata_json = readable_json("metadata")
    legacy_extra_json = readable_json("legacy_extra")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """In a list, long texts come as their beginnings."""
        rows: QuerySet[Any] = super().get_queryset(request)
        if not self._is_list(request):
            return rows
        cut = {f"_{name}_excerpt": Left(F(name), EXCERPT + 1) for name in self.excerpts}
        heavy = [f.name for f in self.opts.concrete_fields if f.name in HEAVY]
        return SparseDates.of(rows.annotate(**cut).defer(*heavy, *self.excerpts))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BigChangeList]:
        """The list that reads a part of the table at a time."""
        return BigChangeList

    def get_urls(self) -> list[Any]:
        """Django's, and the exports of the list."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        page = self.admin_site.admin_view(self.export_list)
        return [path("export/<slug:form>/", page, name=name), *super().get_urls()]

    def export_list(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """Every row that the list's search, filters and dates choose, in all columns."""
        if not self.has_view_permission(request) or form not in ("csv", "json"):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).chosen_rows(request)
        except IncorrectLookupParameters:
            return HttpResponseBadRequest("The list has no such filter: open the list again.")
        return export_response(rows, form)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Without the date drill-down where its first and last day would take a whole scan."""
        changelist = super().get_changelist_instance(request)
        if changelist.window is not None or BEFORE in changelist.params:
            changelist.date_hierarchy = None
        return changelist

    def _is_list(self, request: HttpRequest) -> bool:
        match = request.resolver_match
        return match is not None and str(match.url_name or "").endswith("_changelist")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every column; JSON in its readable form where it cannot be edited."""
        names = [f.name for f in self.opts.concrete_fields]
        editable = self.has_change_permission(request, obj)
        shown = [self._readable(name) if not editable else name for name in names]
        return [*shown, *self._related_fields, "legacy_row"]

    @cached_property
    def _related_fields(self) -> list[Callable[[Any], str]]:
        return [related.as_field() for related in self.related]

    @admin.display(description="legacy row as stored")
    def legacy_row(self, row: models.Model) -> str:
        """Read live from the legacy file, which is never written."""
        return legacy_table(row)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The key and what the legacy left over are never edited."""
        if not self.has_change_permission(request, obj):
            return self.get_fields(request, obj)
        return [self.opts.pk.name, "legacy_extra", *self._related_fields, "legacy_row"]

    def formfield_for_dbfield(
        self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """A column that may be NULL may stay empty in the form."""
        formfield = super().formfield_for_dbfield(db_field, request, **kwargs)
        if formfield is not None and db_field.null:
            formfield.required = False
            if hasattr(formfield, "empty_value"):
                formfield.empty_value = None
        return formfield

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write the corrected columns only: an empty text next to them must not become NULL."""
        obj.save(update_fields=[name for name in form.changed_data if name in form.fields])

    def _readable(self, name: str) -> Any:
        if hasattr(type(self), f"{name}_json"):
            return f"{name}_json"
        return self._texts.get(name, name)

    @cached_property
    def _texts(self) -> dict[str, Callable[[Any], str]]:
        """The same function for the same column: Django compares fields with read-only ones."""
        fields = self.opts.concrete_fields
        return {f.name: readable_text(f) for f in fields if isinstance(f, models.TextField)}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are written by the services, not by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is lost through the admin."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only with the model's change permission, given by name."""
        codename = get_permission_codename("change", self.opts)
        return f"{self.opts.app_label}.{codename}" in named_permissions(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As in Django, where change implies view."""
        codename = get_permission_codename("view", self.opts)
        granted = request.user.has_perm(f"{self.opts.app_label}.{codename}")
        return granted or self.has_change_permission(request, obj)
