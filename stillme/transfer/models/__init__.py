"""The tables of the engine, in the schema `transfer`: ledger, quarantine, states, the way back."""

from stillme.transfer.models.ledger import (
    Chunk,
    DroppedObject,
    FileState,
    KeptCell,
    Proof,
    QuarantinedRow,
    Run,
    RunFile,
    RunTable,
    WriteMark,
)
from stillme.transfer.models.started import StartedCommand
from stillme.transfer.models.switching import (
    CarriedCell,
    LagSample,
    LeftByDecision,
    ReverseChange,
    Seal,
)

__all__ = [
    "CarriedCell",
    "Chunk",
    "DroppedObject",
    "FileState",
    "KeptCell",
    "LagSample",
    "LeftByDecision",
    "Proof",
    "QuarantinedRow",
    "ReverseChange",
    "Run",
    "RunFile",
    "RunTable",
    "Seal",
    "StartedCommand",
    "WriteMark",
]
