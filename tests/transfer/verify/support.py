"""What the judge's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, transaction
from django.test import override_settings

from stillme.transfer.findings import Finding
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine.decisions import accept
from stillme.transfer.registry import legacy_models
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.tables.live_rows import TailJudge
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.empty_database import delete_rows

# Looks at the structure for the go/no-go list.
JUDGE = TailJudge("default")


def judge(**options: Any) -> VerifyResult:
    """Verify in this process, so that it sees an open transaction."""
    return verify(VerifyOptions(**{"jobs": 1, **options}))


def file_of(where: str) -> Selection:
    """The legacy file whose target table this is: `rss.fetch_items:cycle_id` is of `rss`."""
    return Selection(files=(where.split(".")[0],))


def accept_all() -> None:
    """Decide about every quarantined row."""
    accept("default", QuarantinedRow.objects.filter(status="open"), "seen in a test")


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is rolled back, DDL included."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def legacy_folder(directory: Path) -> Iterator[None]:
    """Point the settings at a data directory. (Enough for commands, not for legacy models.)"""
    files = {
        name: {**file, "path": directory / file["path"].name}
        for name, file in settings.TRANSFER["FILES"].items()
    }
    with override_settings(
        LEGACY_DATA_DIR=directory,
        TRANSFER={**settings.TRANSFER, "FILES": files, "DATA_DIR": directory},
        LEGACY_VECTOR_DIR=directory / "vector_db",
    ):
        yield


def empty_target() -> None:
    """Empty the mapped tables, the ledger and the quarantine."""
    names = [m.target_model()._meta.db_table for m in legacy_models()]
    engine = apps.get_app_config("transfer").get_models()
    delete_rows([*names, *(model._meta.db_table for model in engine)])


def close_database() -> None:
    """Leave no session behind for the next module."""
    connections["default"].close()


def places(findings: list[Finding]) -> set[tuple[str, str | None]]:
    """(where, key) of each."""
    return {(finding.where, finding.key) for finding in findings}
