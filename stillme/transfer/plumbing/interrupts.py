"""SIGTERM, SIGHUP and Ctrl-C end a run in order: what is open is undone, and one sentence is said.

Python ends at once on SIGTERM, without `finally`: a cut-over would leave its freeze, an import its
copies. Here the signal becomes an exception, as Ctrl-C is one already.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stillme.transfer.errors import TransferError

# Seconds in which more signals are one: a closed terminal sends SIGHUP twice, and an impatient
# operator's second Ctrl-C must not cut short what the first one began to undo.
_ONE = 5.0


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; `signal` is its name."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number).name
        super().__init__(self.signal)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in this block of the main thread when a signal asks the run to end.

    An error of the block after a signal is what the signal broke (a function that SQLite called,
    say), and Interrupted is raised in its place. A TransferError stays: it says something that the
    operator must know.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = _Ending()
    before = {number: signal.signal(number, ending.on_signal) for number in ending_signals()}
    try:
        yield
    except TransferError:
        raise
    except Exception as error:
        if ending.number is not None:
            raise Interrupted(ending.number) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_signals() -> list[signal.Signals]:
    """Those that ask a run to end, except what this process was started to ignore (`nohup`)."""
    known = [signal.Signals[n] for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


class _Ending:
    """Whether a signal came, and when."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._at = 0.0

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is not None and now - self._at < _ONE:
            return
        self.number, self._at = number, now
        raise Interrupted(number)
