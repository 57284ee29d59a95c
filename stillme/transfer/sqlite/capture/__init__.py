"""Change capture in the legacy files: triggers that log the key of every row written.

The log is written in the writer's own transaction, so it cannot tear; it holds keys only, and the
replayer reads the row's present state, so replaying twice does no harm.
"""

from stillme.transfer.plumbing.own_sql import CaptureStatus, Health
from stillme.transfer.sqlite.capture.freeze import freeze, frozen_until, unfreeze
from stillme.transfer.sqlite.capture.install import install, remove, status
from stillme.transfer.sqlite.capture.log import Change, ChangeLog, Witness
from stillme.transfer.sqlite.capture.probe import Probe, run_probes
from stillme.transfer.sqlite.capture.tables import CapturedTable, captured_tables, open_writable

__all__ = [
    "CaptureStatus",
    "CapturedTable",
    "Change",
    "ChangeLog",
    "Health",
    "Probe",
    "Witness",
    "captured_tables",
    "freeze",
    "frozen_until",
    "install",
    "open_writable",
    "remove",
    "run_probes",
    "status",
    "unfreeze",
]
