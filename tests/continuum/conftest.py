"""The classes switched on, as the application has them; `off` for the others."""

from __future__ import annotations

import pytest

from continuum import services


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ENABLE_CONTINUUM_MEMORY", True)


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch, switched_on: None) -> None:
    monkeypatch.setattr(services, "ENABLE_CONTINUUM_MEMORY", False)
