"""As whom the embedded server runs: this user, or for root a system user of its own."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillme.postgresql.embedded import EmbeddedServerError

SYSTEM_USER = "pgserver"


@dataclass(frozen=True)
class Account:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether this process already runs as this user."""
        return self.uid == os.geteuid()

    def for_subprocess(self) -> dict[str, Any]:
        """What makes `subprocess` run a program as this user."""
        if self.is_ours:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Whether this user may read and enter `path`, judged by the bits that hold for all."""
        if self.is_ours:
            return True
        entry = stat.S_IROTH | stat.S_IXOTH
        if path.stat().st_mode & entry != entry:
            return False
        return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def server_account() -> Account:
    """This user; for root, as whom PostgreSQL refuses to run, a system user made for it."""
    if os.geteuid() != 0:
        return Account("this user", os.geteuid(), os.getegid())
    return _known_user() or _make_system_user()


def _known_user() -> Account | None:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_system_user() -> Account:
    """Make the system user, by one process at a time.

    Two `useradd` side by side both find the name free; the later one then replaces the entry of
    the earlier one, uid and all, and what the first process had made belongs to nobody.
    """
    lock = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _known_user() or _create_system_user()
    finally:
        os.close(lock)


def _create_system_user() -> Account:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    refusal = (
        f"PostgreSQL refuses to run as root and the system user {SYSTEM_USER} cannot be made: "
        f"create it, run this as an ordinary user, or set DATABASE_URL to a PostgreSQL server."
    )
    if program is not None:
        subprocess.run(
            [program, "--system", "--user-group", "--no-create-home", SYSTEM_USER],
            capture_output=True,
            check=False,
        )
    account = _known_user()
    if account is None:
        raise EmbeddedServerError(refusal)
    return account
