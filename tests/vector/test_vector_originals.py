"""What an import set aside or repaired stays provable when the queue is purged; its originals."""

from __future__ import annotations

import json

import pytest

from stillme.transfer.models import KeptCell, QuarantinedRow
from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import import_vectors, verify_vectors
from tests.vector.test_vector_import import fill, vector

pytestmark = pytest.mark.django_db
NAME = "stillme_knowledge"


def test_a_purged_queue_leaves_a_record_as_it_is(tmp_path):
    """The record has the exact vector that the queue had; the segment has it within 1e-6."""
    files = ChromaFiles(tmp_path / "vector_db")
    made = fill(files, 4, NAME, space="cosine")
    made.write(ADD, "nul", vector(9), "d\0")
    made.write(ADD, "last", vector(8), "d")
    import_vectors(files.folder)
    QuarantinedRow.objects.update(status="accepted")
    made.flush(purge=True)
    files.close()
    assert verify_vectors(files.folder) == []


def test_the_metadata_of_a_collection_has_its_original(tmp_path):
    files = ChromaFiles(tmp_path / "vector_db")
    made = fill(files, 2, NAME)
    made.set_metadata("odd", "a\0b")
    import_vectors(files.close())
    assert verify_vectors(files.folder) == []
    cell = KeptCell.objects.get()
    assert json.loads(bytes(cell.value))["odd"] == "a\0b"
    for change in ({"value": b"{}"}, {"value": b"x"}, {"reason": "y"}, {"key": "z"}):
        KeptCell.objects.filter(pk=cell.pk).update(**change)
        assert verify_vectors(files.folder) != []
        cell.save()
    assert verify_vectors(files.folder) == []
