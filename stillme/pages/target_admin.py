"""The admin of large tables: read-only by default, and no COUNT over a table.

`TargetAdmin` is the base of every target model's page. Lists count some thousand rows and
take PostgreSQL's own estimate beyond; long texts are cut by the database; JSON is indented and
not escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBadRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.urls import path, reverse
from django.utils.html import format_html

from stillme.pages.cells import Clipped, json_html, json_text_html, listed_text, text_html
from stillme.pages.clipped import clip, clipped_row, pieces, texts
from stillme.pages.document_field import DocumentField
from stillme.pages.figures import column, is_figure, with_parents
from stillme.pages.lists.big_list import BEFORE, BigChangeList, newest_window
from stillme.pages.lists.dates import SparseDates
from stillme.pages.lists.export import export_response
from stillme.pages.lists.paginator import EstimatingPaginator
from stillme.pages.lists.ranges import ranges_of
from stillme.pages.lists.saved import chosen, saved_filters
from stillme.pages.looks import ModelAdmin
from stillme.pages.panels import panels
from stillme.pages.permissions import named_permissions
from stillme.pages.related import Related
from stillme.services.arguments import whole_key

EXCERPT = 90


def excerpt(field: str) -> Callable[[Any, Any], str]:
    """A list column with the beginning of a long text, which is all that a list fetches."""

    def shown(self: Any, row: Any) -> str:
        return listed_text(getattr(row, field))

    shown.short_description = field.replace("_", " ")  # type: ignore[attr-defined]
    shown.admin_order_field = field  # type: ignore[attr-defined]
    return shown


def readable(field: models.Field[Any, Any], is_json: bool = False) -> Callable[[Any], str]:
    """A detail column with text or JSON (`is_json`: as text), clipped and foldable if long."""
    html: Callable[[Any], str] = json_text_html if is_json else text_html
    if isinstance(field, models.JSONField):
        html = json_html

    def shown(row: Any) -> str:
        value = getattr(row, field.attname)
        if not isinstance(value, Clipped):
            return html(value)
        place = f"admin:{field.model._meta.app_label}_{field.model._meta.model_name}_cell"
        address = reverse(place, args=[quote(row.pk), field.attname])
        said = "Too long or too deep to be shown or corrected here: save all of it"
        return format_html(
            '{}<p class="console"><a href="{}" download>{}</a></p>', html(value), address, said
        )

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
    related: ClassVar[tuple[Related, ...]] = ()
    json_texts: ClassVar[tuple[str, ...]] = ()  # Columns of text that hold JSON.
    list_before_template = "console/saved_filters.html"
    list_after_template = "console/list_tools.html"

    class Media:
        """The looks of the side-by-side table, and the buttons that copy a key."""

        css: ClassVar = {"all": ["console/console.css"]}
        js: ClassVar = ["console/copy.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """In a list, texts come as their beginnings and documents not at all."""
        rows: QuerySet[Any] = super().get_queryset(request)
        if not self._is_list(request):
            return rows
        heavy = [f.name for f in self.opts.concrete_fields if isinstance(f, models.JSONField)]
        cut = clip(SparseDates.of(rows).defer(*heavy), EXCERPT)
        return (
            cut if self._is_asked(request, "autocomplete") else with_parents(cut, self.list_display)
        )

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Numbers, times, references and texts in a reader's form."""
        shown = {n: column(self.opts.get_field(n)) for n in texts(self.model)} | self._columns
        return [shown.get(name, name) for name in super().get_list_display(request)]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Those of the class, and ranges of the list's period and of the numbers that it shows."""
        return [*super().get_list_filter(request), *ranges_of(self)]

    @cached_property
    def _columns(self) -> dict[Any, Callable[..., str]]:
        """By the names that a reference may be listed under."""
        fields = [f for f in self.opts.concrete_fields if f.is_relation or is_figure(f)]
        return {name: column(f) for f in fields for name in (f.name, f.attname)}

    def _key(self, address: str) -> Any:
        """The key that an address of the console names; None where no row can have it."""
        if isinstance(self.opts.pk, models.IntegerField):
            return whole_key(address)
        try:
            return self.opts.pk.to_python(address)
        except (ValidationError, ValueError):
            return None

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """One row, with the beginnings of what is long, of the rows it refers to as well."""
        key = self._key(object_id)
        row = None if key is None else clipped_row(self.get_queryset(request), key)
        for field in self.opts.concrete_fields if row is not None else ():
            if field.is_relation and (parent := getattr(row, field.attname)) is not None:
                parents = clip(field.related_model._default_manager.all(), EXCERPT)
                # Not by setattr, which would take the key away where it leads nowhere.
                field.set_cached_value(row, parents.filter(pk=parent).first())
        return row

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """What is offered is named by its beginning."""
        kwargs.setdefault("queryset", clip(db_field.related_model._default_manager.all(), EXCERPT))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def cell_view(self, request: HttpRequest, object_id: str, column: str) -> HttpResponseBase:
        """All of a text or document, streamed, to be saved."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        field = self._readables.get(column)
        key = self._key(unquote(object_id))
        rows = self.model._default_manager.filter(pk=key)
        if field is None or key is None or not rows.exists():
            raise Http404
        text = pieces(rows, self.opts.get_field(column))
        answer = StreamingHttpResponse(text, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = (
            f'attachment; filename="{self.opts.model_name}-{column}.txt"'
        )
        answer["X-Content-Type-Options"] = "nosniff"
        return answer

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BigChangeList]:
        """The list that reads a part of the table at a time."""
        return BigChangeList

    def get_urls(self) -> list[Any]:
        """Django's, the exports of the list, and the whole of a long cell."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        page = self.admin_site.admin_view(self.export_list)
        cell = self.admin_site.admin_view(self.cell_view)
        return [
            path("export/<slug:form>/", page, name=f"{name}_export"),
            path("<path:object_id>/cell/<slug:column>/", cell, name=f"{name}_cell"),
            *super().get_urls(),
        ]

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
        changelist.choice = chosen(request.GET.urlencode())
        changelist.saved = saved_filters(request, self.model)
        return changelist

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What completes a reference while it is typed looks at a window, as a list does."""
        found, repeats = super().get_search_results(request, queryset, search_term)
        match = request.resolver_match
        if match is None or match.url_name != "autocomplete":
            return found, repeats
        return newest_window(found, search_term), repeats

    def _is_list(self, request: HttpRequest) -> bool:
        return self._is_asked(request, "_changelist", "_export", "autocomplete")

    def _is_asked(self, request: HttpRequest, *ends: str) -> bool:
        match = request.resolver_match
        return match is not None and str(match.url_name or "").endswith(ends)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every column; in its readable form where it cannot be edited."""
        names = [f.name for f in self.opts.concrete_fields]
        editable = self.has_change_permission(request, obj)
        read = [n for n in names if not editable or n in self._clipped(obj)]
        forms = {**self._columns, **self._readables}
        shown = [forms.get(n, n) if n in read else n for n in names]
        return [*shown, *self._related_fields, *panels()]

    @cached_property
    def _related_fields(self) -> list[Callable[[Any], str]]:
        return [related.as_field() for related in self.related]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The key and what the legacy left over are never edited."""
        if not self.has_change_permission(request, obj):
            return self.get_fields(request, obj)
        clipped = [self._readables[name] for name in self._clipped(obj)]
        return [self.opts.pk.name, "legacy_extra", *clipped, *self._related_fields, *panels()]

    def formfield_for_dbfield(
        self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """A column that may be NULL may stay empty in the form; a document is one it can hold."""
        if isinstance(db_field, models.JSONField):
            kwargs.setdefault("form_class", DocumentField)
        formfield = super().formfield_for_dbfield(db_field, request, **kwargs)
        if formfield is not None and db_field.null:
            formfield.required = False
            if hasattr(formfield, "empty_value"):
                formfield.empty_value = None
        return formfield

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write the corrected columns only: an empty text next to them must not become NULL."""
        obj.save(update_fields=[name for name in form.changed_data if name in form.fields])

    def _clipped(self, row: models.Model | None) -> list[str]:
        """Columns that are too long for a form."""
        held = {} if row is None else vars(row)
        return [name for name in self._readables if isinstance(held.get(name), Clipped)]

    @cached_property
    def _readables(self) -> dict[str, Callable[[Any], str]]:
        """The same function for the same column: Django compares fields with read-only ones."""
        kinds = (models.TextField, models.JSONField)
        fields = [f for f in self.opts.concrete_fields if isinstance(f, kinds)]
        return {f.attname: readable(f, f.name in self.json_texts) for f in fields}

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
