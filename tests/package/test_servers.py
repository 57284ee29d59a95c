"""The application under the servers it may run on: several processes, forked or started anew."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.ops.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

APPLICATION = Path(__file__).with_name("application.py")
GUNICORN = ("gunicorn", "-b", "127.0.0.1:{port}", "-w", "2", "--threads", "2")
UVICORN = ("uvicorn", "--port", "{port}", "--no-access-log")
COMMANDS = {
    "gunicorn": (*GUNICORN, "application:wsgi"),
    "gunicorn, loaded before the fork": (*GUNICORN, "--preload", "application:wsgi"),
    "uvicorn": (*UVICORN, "--workers", "2", "application:asgi"),
    "uvicorn with reload": (*UVICORN, "--reload", "--reload-delay", "0.1", "application:asgi"),
}
Server = tuple[Path, Callable[[str], list[int]], "subprocess.Popen[str]"]


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tmp_path: Path, target_environment: dict[str, str]
) -> Iterator[Server]:
    command: tuple[str, ...] = request.param
    if not find_spec(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    shutil.copy(APPLICATION, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {**target_environment, "PYTHONPATH": str(ROOT), "DB_POOL_MAX_SIZE": "2"}
    environment.pop("DJANGO_SETTINGS_MODULE")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *(word.format(port=port) for word in command)],
            cwd=tmp_path,
            env={**environment, "TZ": "Asia/Ho_Chi_Minh", "LOG_LEVEL": "info"},
            stderr=log,
            text=True,
        )
        try:
            yield tmp_path, lambda path: asked(port, path), process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def asked(port: int, path: str) -> list[int]:
    """The key and the process that the application answered with; [] where none answers yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=300) as answer:
            found: list[int] = json.loads(answer.read())
            return found
    except (ConnectionError, urllib.error.URLError):
        return []


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("server", COMMANDS.values(), ids=COMMANDS, indirect=True)
def test_each_process_calls_the_services(server: Server) -> None:
    folder, ask, process = server
    wait_until(lambda: bool(ask("/")))
    answers = [ask(path) for path in ("/", "/sync") * 10]
    assert len({key for key, _ in answers}) == 20
    assert min(key for key, _ in answers) > 0
    if "--reload" in process.args:
        os.utime(folder / "application.py", (2**31, 2**31))
        first = answers[0][1]
        wait_until(lambda: ask("/")[1:] not in ([], [first]))
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) in (0, -signal.SIGTERM)
    said = (folder / "log").read_text()
    assert "Traceback" not in said, said
