"""pgvector in a schema off the search_path, as hosted servers have it, or out of reach."""

from __future__ import annotations

import random

import pytest
from django.db import connection

from tests.vector.chroma_files import ADD, ChromaFiles
from tests.vector.moving import import_vectors, prove_vectors
from vector import services
from vector.judge.target_reading import TargetReader
from vector.models import Collection, Item
from vector.serving import indexes, pgvector, search

pytestmark = pytest.mark.django_db

QUERY = [0.1, -0.2, 0.3, 0.4]
ODD = 'a "b" %s \\ c'
ROLE = "test_stillme_no_usage"


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(params=["extensions", ODD])
def elsewhere(request) -> str:
    """pgvector in a schema of its own; operators of other meaning where the search_path leads."""
    if indexes.extension_state() != "available":
        pytest.skip("no pgvector to be installed on this server: the embedded one has it")
    name = request.param.replace('"', '""')
    run(
        f'CREATE SCHEMA "{name}"',
        f'CREATE EXTENSION vector SCHEMA "{name}"',
        "CREATE TYPE public.vector AS ENUM ('not this one')",
    )
    return request.param


def store(folder, space: str) -> ChromaFiles:
    files = ChromaFiles(folder)
    collection = files.collection("c", space=space)
    rng = random.Random(3)
    for n in range(60):
        collection.write(ADD, f"k{n:02}", [rng.uniform(-1, 1) for _ in range(4)], "d")
    return files


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_import_proof_and_search_with_pgvector_elsewhere(tmp_path, elsewhere, space):
    assert pgvector.installed().schema == elsewhere
    files = store(tmp_path / "vector_db", space)
    import_vectors(files.close())
    collection = Collection.objects.get()
    assert indexes.has_index(collection)
    proof = prove_vectors(files.folder)
    assert proof.findings == []
    assert "recall@10 of the index" in proof.collections[0].search
    assert indexes.index_name(collection) in services.search_state(collection)
    through = [r.id for r in services.query(collection, QUERY, 5)]
    assert through == [r.id for r in services.query(collection, QUERY, 5, exact=True)]
    near = collection.items.annotate(distance=search.distance_of(collection, QUERY))
    run("SET LOCAL enable_seqscan = off", "SET LOCAL enable_sort = off")
    assert indexes.index_name(collection) in near.order_by("distance")[:5].explain()
    assert [i.embedding_id for i in near.order_by("distance")[:5]] == through


def test_an_index_that_is_missing_elsewhere_is_found(tmp_path, elsewhere):
    files = store(tmp_path / "vector_db", "l2")
    import_vectors(files.close())
    indexes.drop_index(Collection.objects.get())
    (finding,) = prove_vectors(files.folder).findings
    assert finding.found == "no index"


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("withheld", ["schema", "type"])
def test_a_role_that_may_not_use_pgvector_does_without(withheld, elsewhere):
    schema = '"' + elsewhere.replace('"', '""') + '"'
    made = services.create_collection("c", metric="cosine", dimension=4)
    services.add(made, ["one", "two"], [QUERY, [1.0, 0.0, 0.0, 0.0]])
    run("SET CONSTRAINTS ALL IMMEDIATE")
    assert indexes.ensure_index(made).endswith("built.")
    rights = {
        "schema": [],
        "type": [
            f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}",
            f"REVOKE USAGE ON TYPE {schema}.vector FROM PUBLIC",
        ],
    }
    run(
        f"CREATE ROLE {ROLE}",
        f"GRANT USAGE ON SCHEMA vector TO {ROLE}",
        f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA vector TO {ROLE}",
        *rights[withheld],
        f"SET LOCAL ROLE {ROLE}",
    )
    assert "GRANT USAGE" in indexes.ensure_index(made)
    assert services.search_state(made) == "c is searched exactly: pgvector is out of reach."
    assert [r.id for r in services.query(made, QUERY, 2)] == ["one", "two"]
    # The index that another role made is kept up all the same.
    Item.objects.create(collection=made, embedding_id="three", embedding=[0.0] * 4)
    assert set(TargetReader("default", made.pk).items(["one", "three"])) == {"one", "three"}
    with pytest.raises(services.VectorError, match="no pgvector"):
        search.distance_of(made, QUERY)


def test_a_server_that_refuses_to_install_it_is_quoted(monkeypatch):
    """The schema it would go to is not there, or it is on no disk of the server's."""
    monkeypatch.setattr(indexes, "extension_state", lambda alias="default": "available")
    run("DROP EXTENSION IF EXISTS vector CASCADE", "DROP SCHEMA public CASCADE")
    assert "PostgreSQL says" in indexes.ensure_extension()
