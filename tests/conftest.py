"""Fixtures every test may use: the database, the legacy files, the samples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def samples() -> Path:
    """The legacy files that the old application wrote; tests that need them skip without."""
    given = os.environ.get("STILLME_SAMPLES")
    path = Path(given) if given else ROOT.parent / "shared" / "samples"
    if not path.is_dir():
        pytest.skip(f"the legacy samples are not at {path}: set STILLME_SAMPLES")
    return path
