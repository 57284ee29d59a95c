"""gunicorn with the project's configuration: serves, counts, and ends gracefully."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.servers import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(
    target_environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[str, subprocess.Popen]]:
    # Listened on from here, so that nobody takes the port before gunicorn does.
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    environment = {
        **target_environment,
        "BIND": f"fd://{listener.fileno()}",
        "WEB_CONCURRENCY": "2",
        "WEB_THREADS": "3",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "METRICS_TOKEN": "t0ken",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    environment.pop("DB_POOL_MAX_SIZE", None)
    configuration = str(ROOT / "stillme/ops/gunicorn_conf.py")
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", configuration, "stillme.wsgi"],
        env=environment,
        cwd=ROOT,
        stderr=log,
        pass_fds=[listener.fileno()],
    )
    listener.close()
    try:
        wait_until(lambda: status(f"{url}/healthz") == 200)
        yield url, process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=300) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_it_serves_and_ends_gracefully(site: tuple[str, subprocess.Popen], tmp_path: Path) -> None:
    url, process = site
    assert status(f"{url}/readyz") == 200
    for _ in range(20):
        assert status(f"{url}/admin/login/") == 200
    assert status(f"{url}/metrics") != 200
    token = {"Authorization": "Bearer t0ken"}
    asked = urllib.request.Request(f"{url}/metrics", headers=token)
    with urllib.request.urlopen(asked, timeout=300) as page:
        text = page.read().decode()
    line = next(
        li
        for li in text.splitlines()
        if li.startswith("stillme_http_requests_total{") and "login" in li
    )
    # Either worker answers for both.
    assert line.endswith(" 20.0"), line
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    requests = [json.loads(li) for li in lines if li.startswith("{") and "stillme.requests" in li]
    assert len({li["request_id"] for li in requests}) == len(requests) >= 21
    assert "Traceback" not in "\n".join(lines)
