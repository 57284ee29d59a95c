"""Makes legacy files as the old application made them, with the standard library alone.

`make_samples` gives small files in the shapes that real installations have, `make_hostile` files
with what SQLite merely permits, `make_bulk` large ones for measurements; `LegacyWriter`, in the
module `writer`, performs the old application's own writes on live files.
"""

from stillme.demo.samples.bulk import BulkSummary, make_bulk
from stillme.demo.samples.generate import VARIANTS, SampleSummary, make_samples
from stillme.demo.samples.hostile.files import HostileCase, make_hostile

__all__ = [
    "VARIANTS",
    "BulkSummary",
    "HostileCase",
    "SampleSummary",
    "make_bulk",
    "make_hostile",
    "make_samples",
]
