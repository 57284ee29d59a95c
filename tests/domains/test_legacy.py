"""Legacy models: what they declare, reading a real file through the ORM, and every refusal."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connections, router

from knowledge.legacy import LegacyKnowledgeItem
from knowledge.models import KnowledgeItem, KnowledgeRelationship
from rss.legacy import LegacyFetchCycle, LegacyFetchItem
from stillme.transfer.errors import LegacyReadOnly
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.registry import legacy_models

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(samples: Path, tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    data = tmp_path / "data"
    shutil.copytree(samples / "clean" / "data", data)
    for path in data.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    use_legacy_files(data)
    return data


def test_eleven_tables_parents_first() -> None:
    tables = [model._meta.db_table for model in legacy_models()]
    assert len(tables) == 11
    assert tables.index("rss_fetch_cycles") < tables.index("rss_fetch_items")
    assert tables.index("knowledge_items") < tables.index("knowledge_relationships")


def test_declared_schema_equals_the_real_files(files: Path) -> None:
    for model in legacy_models():
        path = next(files.glob(f"*{_stem(model)}*.db"))
        with sqlite3.connect(path) as file:
            found = file.execute(f"PRAGMA table_info({model._meta.db_table})").fetchall()
            indexes = file.execute(
                "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? "
                "AND sql IS NOT NULL",
                [model._meta.db_table],
            ).fetchall()
        declared = [_declaration(column) for column in model.columns()]
        assert declared == [
            (name, kind, bool(required), default) for _, name, kind, required, default, _ in found
        ], model
        assert set(model.legacy.indexes) == {name for (name,) in indexes}


def _stem(model: type[LegacyModel]) -> str:
    return {"knowledge": "retention", "rss": "rss"}.get(model.legacy.file, model.legacy.file)


def _declaration(column) -> tuple[str, str, bool, str | None]:
    kind = column.declared.split()[0]
    default = column.declared.partition(" DEFAULT ")[2] or None
    return column.column, kind, "NOT NULL" in column.declared, default


def test_reads_with_the_orm(files: Path) -> None:
    with sqlite3.connect(files / "rss_fetch_history.db") as file:
        sql = "SELECT id, title FROM rss_fetch_items WHERE status = 'Added to RAG' ORDER BY id"
        expected = file.execute(sql).fetchall()
    found = LegacyFetchItem.objects.filter(status="Added to RAG").order_by("id")
    assert expected
    assert [(item.id, item.title) for item in found] == expected


def test_values_come_as_they_are_stored(files: Path) -> None:
    item = LegacyFetchItem.objects.get(pk=1)
    assert item.fetch_timestamp == "2025-11-07T22:24:02.761457"
    assert item.created_at == "2025-11-07 15:24:02"
    assert isinstance(LegacyKnowledgeItem.objects.first().metadata, str)
    assert LegacyFetchCycle.objects.filter(completed_at__isnull=True).exists()


@pytest.mark.parametrize(
    "write",
    [
        lambda: LegacyFetchItem.objects.create(id=1),
        lambda: LegacyFetchItem.objects.filter(id=1).update(title="x"),
        lambda: LegacyFetchItem.objects.filter(id=1).delete(),
        lambda: LegacyFetchItem.objects.bulk_create([LegacyFetchItem(id=1)]),
        lambda: LegacyFetchItem.objects.bulk_update([LegacyFetchItem(id=1)], ["title"]),
        lambda: LegacyFetchItem.objects.get_or_create(id=10**9),
        lambda: LegacyFetchItem.objects.update_or_create(id=1),
        lambda: LegacyFetchItem(id=1).save(),
        lambda: LegacyFetchItem(id=1).delete(),
        lambda: LegacyFetchItem.objects.using("default").filter(id=1).update(title="x"),
    ],
)
def test_writes_are_refused(write: Callable[[], object]) -> None:
    with pytest.raises(LegacyReadOnly, match="rss_fetch_items is read-only"):
        write()


def test_the_connection_itself_refuses_writes(files: Path) -> None:
    with connections["legacy_rss"].cursor() as cursor, pytest.raises(DatabaseError):
        cursor.execute("DELETE FROM rss_fetch_items")


def test_a_target_row_does_not_relate_to_a_legacy_row(files: Path) -> None:
    legacy = LegacyKnowledgeItem.objects.first()
    with pytest.raises(ValueError, match='must be a "KnowledgeItem" instance'):
        KnowledgeRelationship(source=legacy)
    assert not router.allow_relation(legacy, KnowledgeItem(id=1))
    assert not router.allow_relation(KnowledgeItem(id=1), legacy)


def test_django_never_migrates_a_legacy_file(files: Path) -> None:
    before = (files / "rss_fetch_history.db").read_bytes()
    with pytest.raises(Exception, match=r"read-only|readonly|legacy"):
        call_command("migrate", database="legacy_rss", verbosity=0)
    assert (files / "rss_fetch_history.db").read_bytes() == before
    assert "django_migrations" not in connections["legacy_rss"].introspection.table_names()


def test_legacy_models_are_not_in_djangos_registry() -> None:
    assert not [model for model in apps.get_models() if issubclass(model, LegacyModel)]


def test_a_column_copies_itself() -> None:
    for model in legacy_models():
        for column in model.columns():
            copy = column.clone()
            assert (copy.kind, copy.declared, copy.to) == (column.kind, column.declared, column.to)
            assert copy.null == column.null
