"""How much of a campaign runs: a sample, drawn by a seed that is printed, or all of it.

    STILLME_WHOLE=1 python -m pytest -m slow     # each kill, walk and case of a long table
    STILLME_SEED=7 python -m pytest -m slow      # another sample

`.ci/run` takes its seed from the commit, so that each commit tries other cases.
"""

from __future__ import annotations

import os
from typing import TypeVar

Size = TypeVar("Size")

WHOLE = os.environ.get("STILLME_WHOLE", "") not in ("", "0")
SEED = int(os.environ.get("STILLME_SEED") or 20251120)
SAMPLE = "all of them" if WHOLE else f"a sample, STILLME_SEED={SEED}"


def size(sample: Size, whole: Size) -> Size:
    """How large a campaign is."""
    return whole if WHOLE else sample
