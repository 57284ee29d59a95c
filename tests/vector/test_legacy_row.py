"""The admin's page of an item or a collection shows what ChromaDB's tables hold of it."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.vector.chroma_files import ADD, UPDATE, ChromaFiles
from tests.vector.moving import import_vectors
from vector.models import Collection, Item

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture(params=["0.4", "1.x"])
def files(request: Any, tmp_path: Path, settings: Any) -> ChromaFiles:
    settings.LEGACY_VECTOR_DIR = tmp_path / "vector_db"
    return ChromaFiles(tmp_path / "vector_db", request.param)


def moved(files: ChromaFiles) -> Item:
    """A store with one item, imported."""
    made = files.collection("notes")
    content = {"flag": True, "count": 7, "real": 2.5, HOSTILE: HOSTILE}
    made.write(ADD, "one", [1.0, 2.0, 3.0, 4.0], "a document", content)
    import_vectors(files.folder)
    return Item.objects.get()


def legacy_part(client: Client, row: Any) -> str:
    """The legacy table of a row's page as text."""
    place = f"admin:vector_{row._meta.model_name}_change"
    page = client.get(reverse(place, args=[row.pk])).content.decode()
    assert "<script>alert" not in page
    part = page.split('aria-label="Legacy row"', 1)[1].split("</table>", 1)[0]
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", part).split()))


def test_every_stored_cell_is_shown_and_the_same(admin_client: Client, files: ChromaFiles) -> None:
    text = legacy_part(admin_client, moved(files))
    assert "No cell differs." in text
    assert "flag (bool_value) integer 1 metadata: flag True ✓ same" in text
    assert "count (int_value) integer 7" in text
    assert "real (float_value) real 2.5" in text
    assert "chroma:document (string_value) text 'a document' document 'a document'" in text
    assert "vector (queue 1) blob" in text
    # The stored value is spelled out.
    assert "alert(1)</script>\\u202e'" in text


def test_what_differs_is_marked(admin_client: Client, files: ChromaFiles) -> None:
    item = moved(files)
    held = item.metadata | {"count": 8, "more": 1}
    Item.objects.update(document="another", metadata=held, embedding=[1.0, 2.0, 3.0, 5.0])
    text = legacy_part(admin_client, item)
    assert "4 cells differ." in text
    assert "metadata: count 8 ≠ differs 'count' is 8, not 7" in text
    assert "metadata: more 1 ≠ differs not in the legacy" in text


def test_lists_are_shown(admin_client: Client, files: ChromaFiles) -> None:
    files.db.execute(
        "CREATE TABLE embedding_metadata_array (id INTEGER, key TEXT, string_value TEXT, "
        "int_value INTEGER, float_value REAL, bool_value INTEGER)"
    )
    files.collection("notes").write(ADD, "one", [1.0, 2.0, 3.0, 4.0], "a document")
    for value in ("b", "a"):
        sql = "INSERT INTO embedding_metadata_array (id, key, string_value) VALUES (1, 'tags', ?)"
        files.db.execute(sql, (value,))
    import_vectors(files.folder)
    item = Item.objects.get()
    text = legacy_part(admin_client, item)
    assert "No cell differs." in text
    assert "tags (list)" in text
    Item.objects.update(metadata={"tags": ["a", "b"]})
    assert "1 cell differs." in legacy_part(admin_client, item)


def test_what_waits_in_the_queue_is_not_judged(admin_client: Client, files: ChromaFiles) -> None:
    item = moved(files)
    made_id = str(Collection.objects.get().uuid)
    files.db.execute(
        "INSERT INTO embeddings_queue (seq_id, operation, topic, id, metadata) "
        "VALUES (9, ?, ?, ?, ?)",
        (UPDATE, f"persistent://default/default/{made_id}", "one", '{"count": 9}'),
    )
    text = legacy_part(admin_client, item)
    assert "Some cells are not compared here." in text
    assert "queue 9: update text '{\"count\": 9}'" in text
    assert "≠" not in text


def test_a_vector_in_a_segment_is_left_to_the_judge(
    admin_client: Client, files: ChromaFiles
) -> None:
    item = moved(files)
    files.db.execute("DELETE FROM embeddings_queue")
    assert "manage.py verify_migration reads the segment's files" in legacy_part(admin_client, item)


def test_the_collections_row(admin_client: Client, files: ChromaFiles) -> None:
    item = moved(files)
    text = legacy_part(admin_client, item.collection)
    assert "name text 'notes' name 'notes' ✓ same" in text
    Collection.objects.update(name="other")
    assert "1 cell differs." in legacy_part(admin_client, item.collection)


def test_a_store_that_is_gone_and_an_item_it_never_had(
    admin_client: Client, files: ChromaFiles, settings: Any, tmp_path: Path
) -> None:
    item = moved(files)
    address = reverse("admin:vector_item_change", args=[item.pk])
    Item.objects.update(embedding_id="two")
    page = admin_client.get(address).content.decode()
    assert "The legacy store holds no item with this id." in page
    Item.objects.update(origin=Item.Origin.TARGET)
    page = admin_client.get(address).content.decode()
    assert "It was written in PostgreSQL: the legacy store never had it." in page
    Item.objects.update(origin=Item.Origin.QUEUE)
    settings.LEGACY_VECTOR_DIR = tmp_path / "elsewhere"
    page = admin_client.get(address).content.decode()
    assert "The legacy store cannot be read: There is no file" in page


def test_the_choices_of_the_filter_read_no_item(admin_client: Client, files: ChromaFiles) -> None:
    moved(files)
    Collection.objects.create(name="empty")
    address = reverse("admin:vector_item_changelist")
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(address).content.decode()
    assert "collection__id__exact=" in page
    assert "empty" in page
    asked = [q["sql"] for q in queries if '"vector"."collections"' in q["sql"]]
    assert asked
    assert not any("SELECT DISTINCT" in sql for sql in asked)
