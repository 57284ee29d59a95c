"""The parts of a large collection, loaded by several processes.

Each has its own database session and its own view of the copied store, and commits its batches by
itself. Turning vectors into COPY rows is the processor's work: with one process the server waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import connections

from stillme.transfer.deletions import always
from stillme.transfer.findings import ignore_event
from stillme.transfer.postgresql.locks import share_as_worker
from stillme.transfer.processes import default_jobs, process_pool
from stillme.transfer.steps.rows.outcome import Outcome
from vector import chroma
from vector.import_result import VectorImport, VectorOptions

if TYPE_CHECKING:
    from vector.loading import Loader


@dataclass(frozen=True, slots=True)
class _Task:
    folder: Path
    collection: chroma.Collection
    options: VectorOptions
    run_id: int | None
    pk: int
    fresh: bool
    part: chroma.Part


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


def load_parts(loader: Loader, parts: list[chroma.Part]) -> Iterator[PartResult]:
    """Load the parts of the loader's collection, as many at a time as there are jobs.

    Raises TransferError where a process was killed.
    """
    options = loader.options
    jobs = options.jobs or default_jobs()
    start = partial(_start, options.database)
    with process_pool(min(jobs, len(parts)), start) as pool:
        tasks = [
            _Task(
                loader.store.folder,
                loader.collection,
                # What asks a person does not go to another process.
                replace(options, approve=always),
                loader.run_id,
                loader.pk,
                loader.fresh,
                part,
            )
            for part in parts
        ]
        for done in as_completed([pool.submit(_load, task) for task in tasks]):
            yield done.result()


_stores: dict[Path, chroma.Store] = {}


def _start(alias: str) -> None:
    _stores.clear()
    share_as_worker(connections[alias])


def _load(task: _Task) -> PartResult:
    from vector.loading import Loader

    store = _stores.get(task.folder)
    if store is None:
        store = _stores[task.folder] = chroma.open_copy(task.folder)
    result = VectorImport(task.run_id, store.layout)
    loader = Loader(store, task.collection, task.options, result, ignore_event)
    loader.pk, loader.fresh = task.pk, task.fresh
    loader.load_part(task.part)
    table = loader.table
    done = PartResult(table.outcome, table.origins, table.chunks, result.notices, loader.rows_read)
    if not task.fresh:
        done.seen, done.aside_keys = loader.seen, loader.aside_keys
    return done
