"""The parts of a large collection, loaded by several processes.

Each process has its own database session and its own view of the copied store, and commits its
batches by itself. Turning vectors into COPY rows keeps one processor busy: with a single process
the server would wait for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.db import connections

from stillme.transfer.plumbing.processes import default_jobs, process_pool
from stillme.transfer.postgresql.locks import share_as_worker
from stillme.transfer.records.outcome import Outcome
from vector import chroma
from vector.importing.result import VectorOptions


@dataclass(frozen=True, slots=True)
class PartTask:
    """What a process needs to know to load one part of a collection."""

    folder: Path
    collection: chroma.Collection
    options: VectorOptions
    run_id: int | None
    pk: int
    fresh: bool
    part: chroma.Part

    def store(self) -> chroma.Store:
        """The copied store, opened once in each process."""
        store = _stores.get(self.folder)
        if store is None:
            store = _stores[self.folder] = chroma.open_copy(self.folder)
        return store


@dataclass(slots=True)
class PartResult:
    """What became of a part. The keys are those of a collection that is merged."""

    outcome: Outcome
    origins: Counter[str]
    chunks: int
    notices: list[str]
    rows_read: Counter[str]
    seen: set[str] = field(default_factory=set)
    aside_keys: set[str | int | None] = field(default_factory=set)


def load_parts(
    tasks: list[PartTask], load: Callable[[PartTask], PartResult], options: VectorOptions
) -> Iterator[PartResult]:
    """Call `load` for each task, as many at a time as there are jobs; results as they come.

    Raises TransferError where a process was killed.
    """
    jobs = options.jobs or default_jobs()
    with process_pool(min(jobs, len(tasks)), partial(_start, options.database)) as pool:
        for done in as_completed([pool.submit(load, task) for task in tasks]):
            yield done.result()


_stores: dict[Path, chroma.Store] = {}


def _start(alias: str) -> None:
    _stores.clear()
    share_as_worker(connections[alias])
