"""What a cut-over is asked to do, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stillme.transfer.steps.readiness.lines import Line


@dataclass(frozen=True, slots=True)
class CutoverOptions:
    """`freeze_limit`: seconds that writers may be locked out, with undoing. `overrides`: subject of
    a red line -> why it was overridden. `seal` is off in a rehearsal: the vector store is real."""

    freeze_limit: float = 10.0
    backup: Path | None = None
    database: str = "default"
    overrides: Mapping[str, str] = field(default_factory=dict)
    seal: bool = True


@dataclass(slots=True)
class CutoverResult:
    """How it went. `unswitched`: left as it is, and why. `unsealed`: what stays writable.
    `captured_again`: reverse capture was gone, and was put back."""

    run_id: int | None
    lines: list[Line] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    unswitched: dict[str, str] = field(default_factory=dict)
    unsealed: list[str] = field(default_factory=list)
    frozen_seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    drained: int = 0
    verified: int = 0
    captured_again: bool = False
