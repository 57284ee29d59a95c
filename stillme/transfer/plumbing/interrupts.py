"""SIGTERM, SIGHUP and Ctrl-C end a run in order: what is open is undone, and one sentence is said.

Python ends at once on SIGTERM, without `finally`: a cut-over would leave its freeze, an import its
copies. Here the signal becomes an exception, as Ctrl-C is one already.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from stillme.transfer.errors import TransferError

# Seconds in which more signals are one: a closed terminal sends SIGHUP twice, and an impatient
# operator's second Ctrl-C must not cut short what the first one began to undo.
_ONE = 5.0


class StopSignal:
    """A `threading.Event` that a signal handler may set.

    An Event may not be set there. The handler runs in the main thread, which may be inside
    `Event.wait` and hold the lock that `Event.set` waits for: then neither goes on.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self._is_set = True
        # A full pipe wakes whoever waits as well.
        with suppress(BlockingIOError):
            os.write(self._write, b".")

    def is_set(self) -> bool:
        """Whether a signal came."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Wait for a signal, so many seconds at most."""
        select.select([self._read], [], [], timeout)
        return self._is_set

    def close(self) -> None:
        """Give the pipe back, once no handler is left."""
        os.close(self._read)
        os.close(self._write)


# Whether somebody asked a long run to end.
Stop = threading.Event | StopSignal


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
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [number for number in asked if signal.getsignal(number) is not signal.SIG_IGN]


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
