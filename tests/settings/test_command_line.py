"""A terminal that speaks ASCII only, odd paths, and a process that gets nothing from the system."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from stillme.postgresql.connecting.explain import explain_exhaustion
from stillme.transfer.management.commands import inventory
from stillme.transfer.management.options import given_path
from tests.conftest import ROOT


def started(*command: str | bytes, **variables: str) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**keep, **variables},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_an_ascii_terminal_stops_no_command() -> None:
    """The help of a command is in ASCII; the name of a file that somebody gives may be not."""
    odd = "PYTHONIOENCODING", "ascii:strict"
    shown = started("shell", "-v0", "-c", "print('dữ liệu')", **dict([odd]))
    assert (shown.returncode, shown.stdout) == (0, "d\\u1eef li\\u1ec7u\n"), shown.stderr
    refused = started("verify_migration", "--html", "/không/có.html", **dict([odd]))
    assert refused.returncode == 2
    assert "kh\\xf4ng" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("option", ["--html", "--manifest", "--check-manifest"])
def test_a_path_that_is_none(option: str) -> None:
    for given in (b"d\xe9.html", b""):
        refused = started("verify_migration", option.encode() + b"=" + given)
        assert refused.returncode == 2
        assert "argument " + option in refused.stderr
        assert "Traceback" not in refused.stderr


def test_home_in_the_path_of_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert str(given_path("~/proof.html")) == "/home/me/proof.html"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        BlockingIOError(11, "Resource temporarily unavailable"),
        OSError(12, "Cannot allocate memory"),
        ImportError("x.so: failed to map segment from shared object"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(inventory.Command, "run", fail)
    with pytest.raises(CommandError, match="ulimit -v") as refused:
        call_command("inventory")
    assert refused.value.returncode == 2


def test_other_errors_of_these_kinds_are_none_of_exhaustion() -> None:
    for error in (RuntimeError("x"), ImportError("no module"), OSError(2, "No such file")):
        assert explain_exhaustion(error) == ""
