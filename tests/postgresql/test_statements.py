"""Settings of a transaction reach every node of a cluster, and nobody sets one past the helper."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from stillme.postgresql import distributed
from stillme.postgresql.statements import set_local

ROOT = Path(__file__).resolve().parents[2]
HELPER = "stillme/postgresql/statements.py"
BARE = re.compile(
    r"\bSET\s+(LOCAL|CONSTRAINTS)\b|set_config\(.*\btrue\)", re.IGNORECASE | re.DOTALL
)
# A file without these words is not taken apart: four of five.
WORDS = re.compile(r"LOCAL|CONSTRAINTS|set_config", re.IGNORECASE)
# What stays on this node on purpose, or cannot leave it.
ALLOWED = {
    "stillme/pages/sql.py": "puts its role's rights down, on this node",
    "stillme/postgresql/distributed.py": "asks the nodes themselves",
    "stillme/postgresql/schema.py": "Django's DDL: Citus carries it to the nodes",
    "stillme/transfer/postgresql/capture/install.py": "capture is refused on a cluster",
    "stillme/transfer/postgresql/after_load.py": "ANALYZE: Citus keeps its own sampling",
    "stillme/transfer/steps/merging/clashes.py": "refused on a cluster",
    "stillme/transfer/verify/rows/refused_rows.py": "a trial: on a cluster a false alarm at worst",
    "stillme/transfer/verify/sides/row_query.py": "names of the query that this node plans",
    "stillme/transfer/verify/structure/reference_tables.py": "temporary tables of this node",
    "vector/serving/indexes.py": "an index is built in a transaction of its own on a cluster",
}


@pytest.mark.django_db
def test_a_setting_ends_with_the_transaction() -> None:
    with connection.cursor() as cursor:

        def shown(name: str) -> str:
            cursor.execute(f"SHOW {name}")
            return str(cursor.fetchone()[0])

        before = shown("work_mem")
        with transaction.atomic():
            set_local(connection, {"work_mem": "7MB", "lock_timeout": 1500})
            assert (shown("work_mem"), shown("lock_timeout")) == ("7MB", "1500ms")
            set_local(connection, {"work_mem": None})
            assert shown("work_mem") == before
            set_local(connection, {"application_name": "it's; DROP"})
            assert shown("application_name") == "it's; DROP"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(distributed, "HAS_CITUS", "SELECT true")
    monkeypatch.setattr(distributed, "TABLES", "SELECT 'rss'")
    distributed.forget()
    yield
    distributed.forget()


@pytest.mark.django_db
@pytest.mark.usefixtures("cluster")
def test_on_a_cluster_the_nodes_are_told_first() -> None:
    with CaptureQueriesContext(connection) as asked, transaction.atomic():
        set_local(connection, {"hnsw.ef_search": 100})
    said = "SET LOCAL citus.propagate_set_commands = 'local'; SET LOCAL hnsw.ef_search TO 100"
    assert said in [query["sql"] for query in asked]


def test_nobody_else_sets_one() -> None:
    found = set()
    packages = ("stillme", "knowledge", "continuum", "rss", "accuracy", "vector")
    for path in (path for name in packages for path in (ROOT / name).rglob("*.py")):
        text = path.read_text()
        if not WORDS.search(text):
            continue
        module = ast.parse(text)
        documented = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
        for node in ast.walk(module):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and id(node) not in documented and BARE.search(node.value):
                found.add(path.relative_to(ROOT).as_posix())
    assert found - {HELPER} == set(ALLOWED)
