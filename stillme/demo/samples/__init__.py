"""Makes legacy files as the old application made them, with the standard library alone.

`make_samples` gives small files in the shapes that real installations have, `make_hostile` files
with what SQLite merely permits, `make_bulk` large ones for measurements, and `LegacyWriter` performs
the old application's own writes on live files.
"""

from .generate import VARIANTS, SampleSummary, make_samples

__all__ = ["VARIANTS", "SampleSummary", "make_samples"]
