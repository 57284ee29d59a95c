"""The page of a collection's meaning: neighbours of an item or a text, and the map."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from stillme.pages.clipped import clip
from stillme.pages.glance.grouped import TooLongError, limited
from stillme.services.arguments import whole_key
from stillme.visible import counted
from vector.meaning.embedding import embedding_for
from vector.meaning.maps import NoMapError, kept_map, make_map
from vector.models import Collection, Item
from vector.serving.search import nearest

NEIGHBOURS = 12
EXCERPT = 160
LONGEST = 2_000


@require_GET
def meaning(request: HttpRequest, collection_id: int) -> HttpResponse:
    """What was asked for by `near` (an item's key) or `text`, and the map."""
    collection = _collection(request, collection_id)
    embed = embedding_for(collection.name)
    text = request.GET.get("text", "")[:LONGEST]
    item = _item(collection, request.GET.get("near", ""))
    vector = item.embedding if item else None
    problem = ""
    if text and embed and item is None:
        try:
            vector = [float(number) for number in embed([text])[0]]
        except Exception as error:  # noqa: BLE001 the application's own function may raise anything
            problem = f"The embedding function failed: {type(error).__name__}"
    found, trouble = _neighbours(collection, vector, item) if vector is not None else ([], "")
    context = {
        **admin.site.each_context(request),
        "title": f"Meaning: {collection.name}",
        "collection": collection,
        "item": item,
        "text": text,
        "can_embed": embed is not None,
        "found": found,
        "problem": problem or trouble,
        "map": kept_map(collection),
        "page": reverse("admin:vector_item_changelist"),
    }
    return render(request, "vector/meaning.html", context)


@require_POST
def map_again(request: HttpRequest, collection_id: int) -> HttpResponse:
    """Make the map, or make it again."""
    collection = _collection(request, collection_id)
    try:
        make_map(collection)
    except NoMapError as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(reverse("admin:vector_collection_meaning", args=[collection.pk]))


def _collection(request: HttpRequest, key: int) -> Collection:
    if not admin.site.get_model_admin(Item).has_view_permission(request):
        raise PermissionDenied
    found = Collection.objects.filter(pk=key).first() if key < 2**63 else None
    if found is None:
        raise Http404("There is no such collection.")
    return found


def _item(collection: Collection, key: str) -> Item | None:
    number = whole_key(key)
    return None if number is None else collection.items.filter(pk=number).first()


def _neighbours(
    collection: Collection, vector: list[float], item: Item | None
) -> tuple[list[dict[str, Any]], str]:
    """The nearest items with their distances, and why there are none."""
    items = Item.objects.filter(collection=collection).defer("embedding", "metadata")
    if len(vector) != collection.dimension:
        return (
            [],
            f"The vector has {counted(len(vector), 'dimension')}, "
            f"the collection {collection.dimension}.",
        )
    try:
        with limited(items.db):
            found = nearest(clip(items, EXCERPT), collection, vector, NEIGHBOURS + 1)
    except TooLongError:
        return [], (
            "This took PostgreSQL too long: the collection wants an index "
            f"(vector.services.build_index of the collection {collection.name!r})."
        )
    except DatabaseError as error:
        return [], f"PostgreSQL cannot compare these vectors: {str(error).splitlines()[0]}"
    others = [(one, far) for one, far in found if item is None or one.pk != item.pk]
    return [{"item": one, "far": f"{far:.4g}"} for one, far in others[:NEIGHBOURS]], ""
