"""A folder of legacy files, ready to be inspected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made_once import files_of, put_samples


@pytest.fixture
def legacy(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], request: pytest.FixtureRequest
) -> Path:
    """The files of the variant "current", about 60 rows a table."""
    put_samples(tmp_path, rows=60, files=files_of(request.node))
    use_legacy_files(tmp_path)
    return tmp_path
