"""Sample files of the same arguments are the same bytes: made once in a process, then written."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stillme.demo.samples import make_samples

FILES = {
    "knowledge": "knowledge_retention.db",
    "continuum": "continuum_memory.db",
    "rss": "rss_fetch_history.db",
    "accuracy": "accuracy_scores.db",
}


def put_samples(
    directory: Path, rows: int = 60, variant: str = "current", files: Collection[str] = FILES
) -> None:
    """What `make_samples` writes into this folder, in a tenth of its time."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = tuple(FILES[file] for file in files)
    for name, content in _made(rows, variant).items():
        # With a write-ahead log beside it.
        if name.startswith(wanted):
            (directory / name).write_bytes(content)


def files_of(node: pytest.Item | pytest.Collector) -> tuple[str, ...]:
    """The legacy files that this test is about (`only_files`), all where it does not say."""
    mark = node.get_closest_marker("only_files")
    return mark.args if mark else tuple(FILES)


@cache
def _made(rows: int, variant: str) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        make_samples(Path(folder), rows=rows, variant=variant)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
