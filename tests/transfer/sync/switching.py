"""Cut-over and rollback as the commands do them: proven by the judge; risks taken by name."""

from __future__ import annotations

from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.steps import cutover, rollback
from stillme.transfer.steps.cutover import CutoverOptions
from stillme.transfer.steps.readiness.go_no_go import OVERRIDES
from stillme.transfer.verify.tables.live_rows import TailJudge

# Tests share their machine: that writers wait longer there is no failure (test_limits.py).
PATIENCE = 120.0
PATIENT = ["--freeze-limit", str(PATIENCE)]
DESPITE = [word for name in OVERRIDES for word in (f"--despite-{name}", "a test")]


def options(**given):
    """What a test wants, without backup and proof."""
    given = {"freeze_limit": PATIENCE, **given}
    return CutoverOptions(overrides=dict.fromkeys(OVERRIDES, "a test"), **given)


def cut_over(**given):
    """The real thing."""
    return cutover.cut_over(options(**given), TailJudge("default"))


def roll_back():
    """The way back."""
    return rollback.roll_back("default", TailJudge("default"), freeze_limit=PATIENCE)


def files_there() -> list[LegacyFile]:
    """The legacy files that the test has (`only_files`)."""
    return [file for file in legacy_files() if file.path.exists()]
