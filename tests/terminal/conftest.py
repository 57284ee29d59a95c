"""Legacy files and an empty database for commands that run on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import legacy_variables
from tests.made_once import put_samples


@pytest.fixture
def environment(
    tmp_path: Path,
    use_legacy_files: Callable[[Path], None],
    target_environment: dict[str, str],
    settings: object,
    transactional_db: None,
) -> dict[str, str]:
    """Legacy files of 60 rows a table and the empty test database."""
    put_samples(tmp_path / "data", rows=60, files=["knowledge"])
    use_legacy_files(tmp_path / "data")
    from django.conf import settings as current

    named = legacy_variables(current.TRANSFER["FILES"], current.LEGACY_VECTOR_DIR)
    without = {k: v for k, v in target_environment.items() if k not in ("NO_COLOR", "COLUMNS")}
    return {**without, **named, "LEGACY_DATA_DIR": str(tmp_path / "data")}
