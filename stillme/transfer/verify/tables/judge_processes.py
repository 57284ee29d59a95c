"""Who judges key ranges of tables: this process, or several worker processes.

Each worker opens connections of its own. It keeps those of its last table open, because the next
key range is mostly one of the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stillme.transfer.plumbing.processes import process_pool
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.tables.table_judge import Part, TableCase, TableJudge


class PartTask(NamedTuple):
    """A key range of a table, to be judged."""

    alias: str
    case: TableCase
    part: Part


# Yields the proof of each task, in the order of the tasks. Worker processes begin at once; this
# process itself begins when it is asked for the first proof. Raises what a task raised.
HandOut = Callable[[Sequence[PartTask]], Iterator[TableProof]]


@contextmanager
def judges(workers: int) -> Iterator[HandOut]:
    """Start `workers` processes; for one worker, this process itself judges.

    Raises TransferError if a process was killed.
    """
    if workers <= 1:
        with closing(_Bench()) as bench:
            yield partial(map, bench.judge)
        return
    with process_pool(workers) as pool:
        yield partial(pool.map, _in_worker)


class _Bench:
    """Judges task after task, and keeps the connections of the last table open."""

    def __init__(self) -> None:
        self._judge: TableJudge | None = None
        self._table: tuple[Path, str] | None = None

    def judge(self, task: PartTask) -> TableProof:
        table = (task.case.snapshot.path, task.case.mapping.declared_table)
        if self._judge is None or self._table != table:
            self.close()
            self._judge, self._table = TableJudge(task.alias, task.case), table
        return self._judge.judge(task.part)

    def close(self) -> None:
        if self._judge is not None:
            self._judge.close()
            self._judge = None


_bench = _Bench()


def _in_worker(task: PartTask) -> TableProof:
    return _bench.judge(task)
