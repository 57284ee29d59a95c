"""Reverse capture: triggers on the target tables that log what is written after the cut-over.

Statement-level with transition tables, so that a bulk write costs one insert into the log. Writes
of the engine itself (`as_replay`) are not captured again.
"""

from stillme.transfer.plumbing.own_sql import Health
from stillme.transfer.postgresql.capture.install import (
    as_replay,
    disable_freeze,
    engine_transaction,
    freeze_target,
    install,
    is_frozen,
    remove,
    require_carried,
    status,
    unfreeze_target,
    without_triggers,
)
from stillme.transfer.postgresql.capture.tables import (
    TargetTable,
    every_target_table,
    target_tables,
)

__all__ = [
    "Health",
    "TargetTable",
    "as_replay",
    "disable_freeze",
    "engine_transaction",
    "every_target_table",
    "freeze_target",
    "install",
    "is_frozen",
    "remove",
    "require_carried",
    "status",
    "target_tables",
    "unfreeze_target",
    "without_triggers",
]
