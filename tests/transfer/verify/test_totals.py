"""The same totals everywhere: a row that was mended by hand and loaded is not set aside."""

from __future__ import annotations

import json
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from stillme.transfer.console.dashboard.figures import page_figures
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine import decisions
from tests.transfer.load.support import change, run_import
from tests.transfer.verify.support import accept_all

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("knowledge")]


def told(*arguments: str) -> Any:
    out = StringIO()
    with suppress(SystemExit):
        call_command(*arguments, "--format", "json", stdout=out)
    return json.loads(out.getvalue())


def everywhere() -> dict[str, tuple[int, int, int]]:
    """(open, accepted, mended) as each of them says it, of all files and stores."""
    listed = told("quarantine", "list", "--status", "all", "--limit", "1000")
    rows = [(row["status"], bool(row["repairs"])) for row in listed["rows"]]
    verified = told("verify_migration", "--jobs", "1")["tables"]
    status = told("migration_status")
    status = status["files"] + status["stores"]
    page = page_figures("default")
    decided = page["quarantine"]["decided"]
    return {
        "quarantine": (
            sum(kind == "open" for kind, _ in rows),
            sum(kind == "accepted" for kind, _ in rows),
            sum(kind == "repaired" and edited for kind, edited in rows),
        ),
        "verify": tuple(sum(t[n] for t in verified) for n in ("undecided", "accepted", "mended")),
        "status": tuple(
            sum(f[n] for f in status) for n in ("quarantine_open", "accepted", "mended")
        ),
        "dashboard": (decided["open"], decided["accepted"], decided["repaired"]),
    }  # type: ignore[return-value]


def aside() -> set[int]:
    """How many rows are not in the target, as each of them says it."""
    imported = told("import_sqlite", "--jobs", "1")
    page = page_figures("default")["moved"]
    verified = told("verify_migration", "--jobs", "1")["tables"]
    return {
        sum(table["quarantined"] for table in imported["tables"]),
        page["aside"],
        sum(line["aside"] for line in page["tables"]),
        page["legacy_rows"] - page["in_target"],
        sum(table["undecided"] + table["accepted"] for table in verified),
        sum(table["legacy_rows"] - table["target_rows"] for table in verified),
    }


@pytest.mark.long
def test_all_say_the_same(legacy: Path) -> None:
    change(
        legacy,
        "knowledge",
        "UPDATE knowledge_items SET content = x'00ff' WHERE id IN "
        "(SELECT id FROM knowledge_items ORDER BY id DESC LIMIT 3)",
    )
    run_import()
    before = everywhere()
    assert len(set(before.values())) == 1, before
    mended = QuarantinedRow.objects.filter(table="knowledge_items", column="content")[:2]
    for row in mended:
        decisions.edit("default", row, "content", "mended", "text")
        assert decisions.retry("default", [row]).loaded
    accept_all()
    after = everywhere()
    assert len(set(after.values())) == 1, after
    assert after["verify"] == (0, before["verify"][0] - 2, 2)
    assert len(aside()) == 1, aside()
    run_import(chunk_rows=7)
    again = everywhere()
    assert len(set(again.values())) == 1, again
