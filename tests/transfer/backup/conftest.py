"""A folder of legacy files, ready to be backed up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.demo.samples import make_samples


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """The four files of the variant "wal": some rows are only in a write-ahead log."""
    folder = tmp_path / "data"
    make_samples(folder, rows=60, variant="wal")
    use_legacy_files(folder)
    return folder
