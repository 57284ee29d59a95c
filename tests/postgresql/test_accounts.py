"""The system user as whom the embedded server runs for root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stillme.postgresql.embedded import accounts

ROOT_ONLY = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("useradd", path="/usr/sbin:/usr/bin") is None,
    reason="only root can make system users: run the tests as root, with useradd installed",
)
NAME = f"stillme{os.getpid()}"
# Waits for the others at standard input, so that all of them ask at once.
ASK = """
import sys
from stillme.postgresql.embedded import accounts
accounts.SYSTEM_USER = sys.argv[1]
sys.stdin.read()
print(accounts.server_account().uid)
"""


@pytest.fixture
def unknown_user() -> Iterator[str]:
    """A name that no user has, before or after the test."""
    yield NAME
    subprocess.run(["userdel", NAME], capture_output=True, check=False)
    with pytest.raises(KeyError):
        pwd.getpwnam(NAME)


@ROOT_ONLY
def test_processes_that_ask_at_once_get_one_user(unknown_user: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, unknown_user],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    uids = {process.stdout.read().strip() for process in processes if process.stdout}
    assert [process.wait() for process in processes] == [0] * 6
    assert uids == {str(pwd.getpwnam(unknown_user).pw_uid)}


def test_who_is_not_root_runs_the_server_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    account = accounts.server_account()
    assert account.uid == 12345
    assert account.is_ours
    assert account.for_subprocess() == {}
