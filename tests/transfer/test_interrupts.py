"""A signal ends a run in order: what is open is undone, one sentence, status 2."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.core.management.base import BaseCommand

from stillme import command_line
from stillme.transfer.errors import TransferError
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.plumbing import interrupts
from stillme.transfer.plumbing.interrupts import Interrupted, interruptible

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


class Killed(TransferCommand):
    """Gets a signal while it works."""

    number: int = signal.SIGTERM
    undone = False

    def run(self, options: dict[str, Any]) -> int:
        try:
            send(self.number)
        finally:
            # More of them do not cut short what is being undone.
            send(self.number)
            send(signal.SIGINT)
            self.undone = True
        return 0


def run(command: BaseCommand) -> None:
    command.run_from_argv(["manage.py", "killed", "--traceback"])


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_ends_with_a_sentence(number: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    command = Killed()
    command.number = number
    with pytest.raises(CommandError) as raised:
        run(command)
    assert raised.value.returncode == 2
    name = signal.Signals(number).name
    assert str(raised.value).startswith(f"Interrupted by {name}; what was committed stays")
    assert command.undone
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_that_the_signal_made_is_the_signal() -> None:
    """SQLite turns what is raised in a function of ours into an error of its own."""
    database = sqlite3.connect(":memory:")
    database.create_function("killed", 0, lambda: send(signal.SIGTERM))
    with pytest.raises(Interrupted, match="SIGTERM"), interruptible():
        database.execute("SELECT killed()").fetchall()
    database.close()


def test_what_the_operator_must_know_is_said() -> None:
    def undo() -> None:
        try:
            send(signal.SIGTERM)
        finally:
            raise TransferError("The files are still frozen.")

    with pytest.raises(TransferError, match="frozen"), interruptible():
        undo()


def test_a_signal_that_was_swallowed_can_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_ONE", 0.0)
    with pytest.raises(Interrupted), interruptible():
        try:
            send(signal.SIGTERM)
        except Interrupted:
            send(signal.SIGTERM)


def test_a_thread_leaves_signals_alone() -> None:
    seen: list[Any] = []

    def work() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_ctrl_c_before_and_beside_our_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Django's own commands, and the time before a command begins."""

    def interrupted(commands: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line._Commands, "execute", interrupted)
    monkeypatch.setattr(command_line, "_spare_the_collector", lambda: None)
    with pytest.raises(SystemExit) as ended:
        command_line.run(["manage.py", "migrate"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Interrupted; run the same command to go on.\n"
    with pytest.raises(KeyboardInterrupt):
        command_line.run(["manage.py", "migrate", "--traceback"])


def test_a_signal_that_interrupts_the_waiting_ends_it() -> None:
    """An Event would be stuck: its `wait` holds the lock that its `set` in the handler wants."""
    script = """
import random, signal
from stillme.transfer.plumbing.interrupts import StopSignal
for _ in range(500):
    stop = StopSignal()
    signal.signal(signal.SIGALRM, stop.on_signal)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.0003))
    while not stop.is_set():
        stop.wait(0.00001)
    stop.close()
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=600)
    assert ended.returncode == 0
