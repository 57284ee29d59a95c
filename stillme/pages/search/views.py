"""The page of the search over all tables."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from stillme.pages.search.find import find
from stillme.pages.search.tables import seen_tables
from stillme.pages.search.words import words_of

LONGEST = 500


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """A field for words, and below it the rows that have all of them, table by table."""
    tables = seen_tables(request)
    if not tables:
        raise PermissionDenied
    asked = request.GET.get("q", "")[:LONGEST]
    words = words_of(asked)
    found = find(tables, words, asked) if words else []
    context = {
        **admin.site.each_context(request),
        "title": "Search",
        "asked": asked,
        "words": words,
        "found": [one for one in found if one.hits],
        "nothing": [one for one in found if not one.hits],
        "wanting": [one.table.plain_name for one in found if one.wants_index],
        "tables": tables,
    }
    return render(request, "console/search.html", context)
