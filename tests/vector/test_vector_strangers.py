"""Collections deleted, made anew or renamed in the store between two imports."""

from __future__ import annotations

import shutil
from uuid import NAMESPACE_DNS, uuid5

import pytest

from stillme.transfer.errors import TransferError
from stillme.transfer.findings import FindingKind
from stillme.transfer.inventory.stores import StoreOptions
from stillme.transfer.models import KeptCell, QuarantinedRow
from tests.vector.chroma_files import ADD, DELETE, ChromaFiles
from tests.vector.moving import OPEN, import_vectors, verify_vectors
from tests.vector.test_vector_import import fill, vector
from vector import services
from vector.importing import collection
from vector.models import Collection, Item
from vector.serving import indexes

# The rows of savepoints, which a test in one transaction makes, are no write mark's.
pytestmark = pytest.mark.django_db(transaction=True)
PRUNE = StoreOptions(prune=True)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "vector_db"


def make(folder, *names, count=3):
    shutil.rmtree(folder, ignore_errors=True)
    files = ChromaFiles(folder)
    for name in names:
        fill(files, count, name)
    return files


def made_anew(folder, name, count):
    """The same name under another UUID, which is what deleting and making anew comes to."""
    files = make(folder, count=0)
    fill(files, count, name)
    other = str(uuid5(NAMESPACE_DNS, "made anew"))
    old = str(uuid5(NAMESPACE_DNS, name))
    for table, column in (
        ("collections", "id"), ("segments", "collection"), ("collection_metadata", "collection_id"),
    ):  # fmt: skip
        files.db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (other, old))
    files.db.execute("UPDATE embeddings_queue SET topic = ?", (f"persistent://d/d/{other}",))
    return files.close()


def test_a_collection_that_is_gone_is_named_found_and_pruned(folder):
    import_vectors(make(folder, "stays", "goes").close())
    make(folder, "stays").close()
    assert "goes is no longer in the vector store; it was left" in import_vectors(folder).notices[0]
    (finding,) = verify_vectors(folder)
    assert (finding.kind, finding.key) == (FindingKind.EXTRA_ROW, "goes")
    assert "deleted with 3 items" in import_vectors(folder, options=PRUNE).notices[0]
    assert verify_vectors(folder) == []
    assert [c.name for c in Collection.objects.all()] == ["stays"]


def test_the_store_of_another_folder_prunes_nothing(folder):
    import_vectors(make(folder, "ours", "also").close())
    make(folder, "theirs").close()
    said = r"None of the imported collections \(2\) .* set LEGACY_VECTOR_DIR"
    with pytest.raises(TransferError, match=said):
        import_vectors(folder, options=PRUNE)
    assert {c.name for c in Collection.objects.all()} == {"ours", "also"}
    emptied = import_vectors(folder, options=StoreOptions(prune=True, moved=True))
    assert emptied.conserved
    assert [c.name for c in Collection.objects.all()] == ["theirs"]


@pytest.mark.slow
def test_a_collection_made_anew_takes_the_place_of_the_earlier_one_with_prune(folder):
    files = make(folder, "knowledge", count=5)
    files.collection("other").write(ADD, "nul", vector(1), "d\0")
    import_vectors(files.close())
    made_anew(folder, "knowledge", 2)
    with pytest.raises(TransferError, match=r"another of that name: run .* --prune"):
        import_vectors(folder)
    assert Item.objects.filter(collection__name="knowledge").count() == 5
    result = import_vectors(folder, options=PRUNE)
    assert result.conserved
    assert "in the vector store: with the earlier one 5 items went" in result.notices[0]
    assert verify_vectors(folder) == []
    assert not QuarantinedRow.objects.exists()


@pytest.mark.slow
def test_a_quarantined_row_whose_item_is_gone_is_pruned(folder):
    files = make(folder, "knowledge")
    made = files.collection("more")
    made.write(ADD, "nul", vector(1), "d\0")
    import_vectors(folder)
    made.write(DELETE, "nul")
    files.close()
    assert import_vectors(folder).conserved
    found = verify_vectors(folder)
    assert [f.kind for f in found] == [FindingKind.CONSERVATION, OPEN]
    assert "--prune" in found[0].note
    import_vectors(folder, options=PRUNE)
    assert verify_vectors(folder) == []


@pytest.mark.slow
def test_items_written_here_are_not_deleted_with_their_collection(folder):
    import_vectors(make(folder, "knowledge", "more").close())
    services.add(services.get_collection("knowledge"), ["mine"], [vector(9)])
    make(folder, "more").close()
    with pytest.raises(TransferError, match="1 item here that was written since the import"):
        import_vectors(folder, options=PRUNE)
    import_vectors(folder, options=StoreOptions(prune=True, overwrite=True))
    assert verify_vectors(folder) == []


@pytest.mark.slow
def test_names_that_were_changed_round_and_what_is_kept_with_them(folder):
    files = make(folder, "one", "two")
    files.collection("three").write(ADD, "inf", vector(2), "d", {"x": float("inf")})
    import_vectors(files.db and folder)
    for old, new in (("one", "t"), ("two", "one"), ("three", "two"), ("t", "three")):
        files.db.execute("UPDATE collections SET name = ? WHERE name = ?", (new, old))
    files.close()
    assert import_vectors(folder).conserved
    assert verify_vectors(folder) == []
    assert [cell.table for cell in KeptCell.objects.all()] == ["vector_db.two"]


@pytest.mark.slow
def test_a_collection_that_has_grown_much_gets_its_index_anew(folder, monkeypatch):
    monkeypatch.setattr(collection, "GROWN_ROWS", 4)
    files = make(folder, "knowledge", count=3)
    if indexes.ensure_extension():
        pytest.skip("no pgvector on this server: the embedded one has it")
    import_vectors(folder)
    made = fill_more(files, 10)
    assert import_vectors(folder).tables[0].index.endswith("built.")
    made.write(ADD, "last", vector(99), "one more")
    files.close()
    assert import_vectors(folder).tables[0].index.endswith("is there.")
    assert verify_vectors(folder) == []


def fill_more(files, count):
    """Further items of a collection that is there."""
    made = Reopened(files)
    for n in range(count):
        made.write(ADD, f"more{n}", vector(50 + n), "more")
    return made


class Reopened:
    """The collection `knowledge` of `make`."""

    def __init__(self, files) -> None:
        from tests.vector.chroma_files import Made

        self.made = Made.__new__(Made)
        self.made.files, self.made.state = files, {}
        self.made.id = str(uuid5(NAMESPACE_DNS, "knowledge"))
        self.made.ids = f"m-{self.made.id}"
        self.made.topic = f"persistent://default/default/{self.made.id}"
        self.write = self.made.write


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("dry_run", [False, True])
def test_nothing_is_deleted_that_was_not_approved(folder, dry_run):
    import_vectors(make(folder, "knowledge", "goes", count=4).close())
    make(folder, "knowledge", count=3).close()
    asked = []

    def approve(found):
        asked.extend(found)
        return dry_run

    import_vectors(folder, options=StoreOptions(prune=True, approve=approve, dry_run=dry_run))
    whole, part = (next(each for each in asked if each.rows == rows) for rows in (4, 1))
    assert (part.table, part.of, part.deleted) == ("vector_db.knowledge", 4, False)
    assert (whole.table, whole.of, whole.deleted) == ("vector_db.goes", 8, False)
    assert Item.objects.count() == 8
    assert {c.name for c in Collection.objects.all()} == {"knowledge", "goes"}
