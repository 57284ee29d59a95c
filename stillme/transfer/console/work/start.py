"""Start a command in a process of its own, which outlives the request and the web server."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from stillme.transfer.errors import Busy
from stillme.transfer.models import StartedCommand

# What may be started, and what it means for the data.
KINDS = {
    "verify": (
        ("verify_migration",),
        "Proves, cell by cell, that PostgreSQL holds what the legacy files hold. Changes no row.",
    ),
    "dry-run": (
        ("import_sqlite", "--dry-run"),
        "Says what an import would do. Changes no row.",
    ),
    "import": (
        ("import_sqlite",),
        "Loads what is new or changed in the legacy files into PostgreSQL. The files stay as they "
        "are; a row that somebody else changed in PostgreSQL is not overwritten.",
    ),
}
# Without a sign for so long, the process was killed.
SILENT = timedelta(seconds=30)
_MODULE = "stillme.transfer.console.work.supervise"


def start(kind: str, who: str) -> StartedCommand:
    """Record and start one of `KINDS`. Raises Busy while another one runs."""
    settle()
    try:
        with transaction.atomic():
            row = StartedCommand.objects.create(command=" ".join(KINDS[kind][0]), started_by=who)
    except IntegrityError as error:
        raise Busy("Another command was started from here and is still running.") from error
    subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(row.pk)],
        stdin=subprocess.DEVNULL,
        # What keeps the process itself from working goes to the web server's log.
        stdout=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    return row


def settle() -> None:
    """Close the record of a process that was killed."""
    silent = StartedCommand.objects.filter(running=True, seen_at__lt=timezone.now() - SILENT)
    silent.update(running=None, finished_at=timezone.now())


def environment() -> dict[str, str]:
    """This process's, which names the settings, with its ways to modules."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(settings.BASE_DIR), *sys.path])),
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }
