"""``python -m stillme.transfer.console.work.supervise ID``: run a recorded command to its end.

Keeps the end of what it prints and a sign of life in the record. If this process is killed, the
kernel kills the command with it; what was committed stays.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

# Bytes of output that are kept, and seconds between two notes.
KEPT = 40_000
EVERY = 0.5


def main(key: int) -> None:
    """Run the command of this record, note what it says, then how it ended."""
    import django

    django.setup()
    from stillme.transfer.models import StartedCommand

    record = StartedCommand.objects.filter(pk=key, running=True)
    command = record.values_list("command", flat=True).get().split()
    status = _run(command, partial(_note, key))
    from django.utils import timezone

    record.update(running=None, exit_status=status, finished_at=timezone.now())


def _run(command: list[str], note: Callable[[bytes], None]) -> int:
    """Its exit status. `note` is given the end of its output again and again."""
    child = subprocess.Popen(
        [sys.executable, "-m", "django", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_end_with_me() if sys.platform == "linux" else None,
    )
    assert child.stdout is not None
    out = child.stdout.fileno()
    end, noted = b"", 0.0
    while True:
        if select.select([out], [], [], EVERY)[0]:
            piece = os.read(out, 65_536)
            if not piece:
                break
            end = (end + piece)[-KEPT:]
        if time.monotonic() > noted + EVERY:
            note(end)
            noted = time.monotonic()
    status = child.wait()
    note(end)
    return status


def _end_with_me() -> Callable[[], None]:
    from stillme.transfer.plumbing.processes import end_with_parent

    return partial(end_with_parent, os.getpid())


def _note(key: int, end: bytes) -> None:
    from django.utils import timezone

    from stillme.transfer.models import StartedCommand

    text = end.decode("utf-8", "replace").replace("\0", "\ufffd")
    StartedCommand.objects.filter(pk=key).update(output=text, seen_at=timezone.now())


if __name__ == "__main__":
    main(int(sys.argv[1]))
