"""Files that may hold values of rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stillme.transfer.errors import TransferError
from stillme.transfer.plumbing.private_file import check_writable, write_private


def test_for_the_owner_alone_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    for text in ("first", "second \udce9"):
        write_private(path, text)
        path.chmod(path.stat().st_mode | 0o044)
    write_private(path, "third \udce9")
    assert path.read_text() == "third \\udce9"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_no_link_is_followed_and_no_device_replaced(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    places = {name: tmp_path / name for name in ("link", "dangling", "pipe", "folder")}
    places["link"].symlink_to(kept)
    places["dangling"].symlink_to(tmp_path / "new")
    os.mkfifo(places["pipe"])
    places["folder"].mkdir()
    before = sorted(tmp_path.iterdir())
    for path in (*places.values(), tmp_path / "nowhere" / "file", Path("/dev/null")):
        for attempt in (check_writable, lambda p: write_private(p, "text")):
            with pytest.raises(TransferError):
                attempt(path)
    assert kept.read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == before


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space left"):
            write_private(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
