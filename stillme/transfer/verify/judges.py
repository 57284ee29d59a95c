"""Who judges parts: this process, or worker processes with connections of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from stillme.transfer.processes import process_pool
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.table import Part, TableCase, TableJudge


class PartTask(NamedTuple):
    """A part to judge."""

    alias: str
    case: TableCase
    part: Part


class Judges(Protocol):
    """Take parts."""

    def hand_out(self, tasks: Sequence[PartTask]) -> Iterator[TableProof]:
        """The proof of each part, in the order of the parts.

        Processes begin at once, in the order in which parts were handed out; this process itself
        begins when it is asked for the first proof. Raises what went wrong with a part.
        """


@contextmanager
def judges(workers: int) -> Iterator[Judges]:
    """`workers` processes, forked at once; with one this process itself.

    Raises TransferError where a process was killed.
    """
    if workers <= 1:
        alone = _Bench()
        try:
            yield _Alone(alone)
        finally:
            alone.close()
        return
    with process_pool(workers) as pool:
        yield _Processes(pool)


class _Bench:
    """Judges part after part; keeps what reads the last table open."""

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


class _Alone:
    def __init__(self, bench: _Bench) -> None:
        self._bench = bench

    def hand_out(self, tasks: Sequence[PartTask]) -> Iterator[TableProof]:
        return map(self._bench.judge, tasks)


class _Processes:
    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def hand_out(self, tasks: Sequence[PartTask]) -> Iterator[TableProof]:
        futures = [self._pool.submit(_in_worker, task) for task in tasks]
        return (future.result() for future in futures)


_bench = _Bench()


def _in_worker(task: PartTask) -> TableProof:
    return _bench.judge(task)
