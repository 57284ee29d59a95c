"""A command on a pseudo-terminal of 80 columns, as its user sees it."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import pyte

from tests.forked_command import start_command, wait_for

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 80
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-79]|4[0-79]|9[0-7]|38|48)[;\dm]")


@dataclass(frozen=True)
class Screen:
    """Everything that was written, bars that went away again included."""

    status: int
    raw: str

    @property
    def text(self) -> str:
        return CONTROL.sub("", self.raw).replace("\r\n", "\n")

    @property
    def coloured(self) -> bool:
        return COLOUR.search(self.raw) is not None

    def shown(self, width: int = 80) -> list[str]:
        """What is on the screen in the end, as a terminal emulator draws it."""
        screen = pyte.Screen(width, 400)
        pyte.Stream(screen).feed(self.raw)
        return "\n".join(line.rstrip() for line in screen.display).rstrip().splitlines()

    @property
    def drawn(self) -> list[str]:
        """Every line as it was drawn, one over the other or not."""
        return [line for line in re.split(r"[\r\n]+", self.text) if line.strip()]


def on_terminal(
    environment: dict[str, str], *arguments: str, width: int = WIDTH, interrupt: bytes = b""
) -> Screen:
    """Run the command with its standard streams on a terminal of its own.

    Ctrl-C is typed as soon as the output contains `interrupt`.
    """
    kept = {k: v for k, v in environment.items() if k not in ("COLUMNS", "LINES")}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    kept = {"TERM": "xterm-256color", **kept}
    process = start_command(arguments, kept, (theirs, theirs, theirs), _own_the_terminal)
    os.close(theirs)
    raw = _read_all(ours, interrupt)
    os.close(ours)
    return Screen(wait_for(process), raw.decode("utf-8", "replace"))


def _own_the_terminal() -> None:
    """A session whose terminal this is: Ctrl-C becomes a signal."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_all(descriptor: int, interrupt: bytes) -> bytes:
    """Until the last process has closed the terminal, which Linux tells as an input error."""
    found = b""
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                return found
            raise
        if not part:
            return found
        found += part
        if interrupt and interrupt in found:
            os.write(descriptor, b"\x03")
            interrupt = b""


def on_pipe(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with its output on no terminal."""
    with Path(os.devnull).open() as none, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        streams = (none.fileno(), out.fileno(), err.fileno())
        status = wait_for(start_command(arguments, environment, streams))
        said = [out, err]
        for stream in said:
            stream.seek(0)
        return subprocess.CompletedProcess(arguments, status, *(s.read() for s in said))
