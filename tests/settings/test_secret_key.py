"""The key of a place that was given none."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stillme.secret import local_secret_key, secret_key_file


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_made_once_and_private(state: Path) -> None:
    key = local_secret_key()
    assert len(key) >= 50
    assert local_secret_key() == key
    assert secret_key_file().stat().st_mode & 0o777 == 0o600
    assert [file.name for file in secret_key_file().parent.iterdir()] == ["secret_key"]


def test_racing_processes_agree() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: local_secret_key(), range(8)))) == 1


def test_an_empty_file_is_replaced(state: Path) -> None:
    (state / "stillme").mkdir(parents=True)
    secret_key_file().touch()
    assert local_secret_key()


def test_without_a_writable_home_it_says_so(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    state.write_text("a file where the directory should be")
    with caplog.at_level(logging.WARNING):
        assert len(local_secret_key()) >= 50
    assert "set SECRET_KEY" in caplog.text
