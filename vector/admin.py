"""The admin of the schema `vector`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils.html import format_html

from stillme.pages.lists.frequent import FrequentValuesFilter
from stillme.pages.once import once
from stillme.pages.related import Related
from stillme.pages.target_admin import TargetAdmin, excerpt
from stillme.visible import counted
from vector import services
from vector.meaning.views import map_again, meaning
from vector.models import Collection, Item

SHOWN = 8
CHOICES = 100


@admin.register(Collection)
class CollectionAdmin(TargetAdmin):
    """Collections, with how each is searched."""

    list_display = ["id", "name", "metric", "dimension", "created_at"]
    search_fields = ["name", "=id"]
    list_filter = ["metric"]
    json_texts = ("configuration", "schema")
    related = (
        Related(
            "vector.Item",
            "collection",
            ("embedding_id", "document", "origin", "created_at"),
            "items of this collection",
        ),
    )

    def get_urls(self) -> list[Any]:
        """Besides, the page of its meaning."""
        page, again = map(self.admin_site.admin_view, (meaning, map_again))
        return [
            path("<int:collection_id>/meaning/", page, name="vector_collection_meaning"),
            path("<int:collection_id>/map/", again, name="vector_collection_map"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The columns, how it is searched, and the way to its meaning."""
        return [*super().get_fields(request, obj), "search_state", "meaning_link"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Search is nothing to edit."""
        return [*super().get_readonly_fields(request, obj), "search_state", "meaning_link"]

    @admin.display(description="Meaning")
    def meaning_link(self, collection: Collection) -> str:
        """The map, and search by meaning."""
        return _link(collection.pk, "", "map of its items")

    @admin.display(description="Search")
    def search_state(self, collection: Collection) -> str:
        """By index, or exactly and why."""
        said: str = once(collection, "search", lambda: services.search_state(collection))
        return said


class CollectionFilter(admin.RelatedFieldListFilter):
    """The collections by name; which of them have items is not asked, that would read them all."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        """As many as one reads through."""
        names = Collection.objects.order_by("name", "pk").values_list("pk", Left(F("name"), 90))
        return [(str(key), name) for key, name in names[:CHOICES]]


@admin.register(Item)
class ItemAdmin(TargetAdmin):
    """Items, newest first."""

    document_start = excerpt("document")
    list_display = ["id", "collection", "embedding_id", "document_start", "origin", "created_at"]
    list_filter = [
        ("collection", CollectionFilter),
        ("origin", FrequentValuesFilter),
    ]
    search_fields = ["document", "embedding_id", "=id"]
    autocomplete_fields = ["collection"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The columns; of the embedding only its start."""
        names = super().get_fields(request, obj)
        shown = ["embedding_start" if name == "embedding" else name for name in names]
        return [*shown, "similar"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Nobody types an embedding."""
        return [*super().get_readonly_fields(request, obj), "embedding_start", "similar"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Item]:
        """Without the embeddings: a list has no use for them."""
        rows: QuerySet[Item] = super().get_queryset(request)
        return rows.defer("embedding")

    @admin.display(description="Embedding")
    def embedding_start(self, item: Item) -> str:
        """The first numbers and how many there are."""
        start = ", ".join(f"{value:.6g}" for value in item.embedding[:SHOWN])
        return f"[{start}, …] ({counted(len(item.embedding), 'dimension')})"

    @admin.display(description="Similar")
    def similar(self, item: Item) -> str:
        """Its neighbours, and its place on the map."""
        return _link(item.collection_id, f"?near={item.pk}", "items that are similar to this one")


def _link(collection: int, asked: str, words: str) -> str:
    page = reverse("admin:vector_collection_meaning", args=[collection])
    return format_html('<p class="console"><a href="{}{}">{}</a></p>', page, asked, words)
