"""After the move the engine is taken out, and the application does not notice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.conftest import ROOT
from tests.domains.test_admin import fill
from vector.models import Collection, Item

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def imported(samples: Path, tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> None:
    """Rows in every table: those that the files have, and some of the others."""
    from accuracy.models import PerformanceTrend
    from knowledge.models import KnowledgeRelationship, LearningSession

    data = tmp_path / "data"
    shutil.copytree(samples / "clean" / "data", data, copy_function=shutil.copyfile)
    data.chmod(0o755)
    use_legacy_files(data)
    call_command("import_sqlite", verbosity=0)
    for model in (PerformanceTrend, KnowledgeRelationship, LearningSession):
        if not model.objects.exists():
            fill(model, 1)
    collection = Collection.objects.create(name="old")
    Item.objects.create(collection=collection, embedding_id="x", embedding=[0.5])


@pytest.mark.long
def test_models_services_pages_and_health_work(
    imported: None, target_environment: dict[str, str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("program.py"))],
        cwd=ROOT,
        env={**target_environment, "STILLME_MIGRATION": "off", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.stdout.strip().endswith("works"), ended.stdout + ended.stderr
