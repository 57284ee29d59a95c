"""What the ledger keeps of a run that failed."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, OperationalError

from stillme.transfer.errors import StateError
from stillme.transfer.models import Run
from stillme.transfer.records import ledger

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("command", ["import_sqlite", "cutover", "rollback_migration"])
def test_a_failed_run_keeps_our_sentence_and_nobody_elses(command: str) -> None:
    """Those of others name servers, and repeat values of rows."""
    run = ledger.start_run("default", command, {})
    ledger.fail_run("default", run, StateError("rss is live: nothing to do."))
    assert Run.objects.get(pk=run.pk).message == "rss is live: nothing to do."
    ledger.fail_run("default", run, IntegrityError("Key (content)=(private) exists"))
    kept = Run.objects.get(pk=run.pk)
    assert (kept.message, kept.status) == ("IntegrityError", Run.Status.FAILED)


def test_a_run_that_cannot_be_closed_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ledger.start_run("default", "import_sqlite", {})

    def away(*_: object, **__: object) -> None:
        raise OperationalError("the server is away")

    monkeypatch.setattr(Run, "save", away)
    ledger.fail_run("default", run, StateError("the real reason"))
    assert Run.objects.get(pk=run.pk).status == Run.Status.RUNNING
