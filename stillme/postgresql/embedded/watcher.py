"""A process of its own that stops the embedded server when nobody uses it any more.

Run by path with nothing but the standard library, so that it stays small while it waits:

    watcher.py USERS_LOCK LOCK_DESCRIPTOR UID GID STOP_COMMAND...
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from typing import Any


def main(arguments: list[str]) -> int:
    """Wait for the last user, stop the server, and only then let a new user in."""
    users_lock, own_lock, uid, gid, *stop_command = arguments
    users = os.open(users_lock, os.O_RDWR)
    fcntl.flock(users, fcntl.LOCK_EX)
    account: dict[str, Any] = {}
    if int(uid) != os.geteuid():
        account = {"user": int(uid), "group": int(gid), "extra_groups": []}
    status = subprocess.run(stop_command, check=False, stdin=subprocess.DEVNULL, **account)
    # Before `users`: whoever comes next must find that this watcher is gone.
    os.close(int(own_lock))
    os.close(users)
    return status.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
