"""The parts of a large collection, judged by several processes in parallel.

Each opens the copied store and a database session of its own; what they found is put together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.plumbing.processes import in_processes
from vector import chroma, models
from vector.judge.items import ItemJudge
from vector.judge.proof import ItemProof
from vector.judge.ranking import Answers, ask_target


@dataclass(frozen=True, slots=True)
class Ground:
    """What judging a collection needs, as data that goes to another process."""

    folder: Path
    collection: chroma.Collection
    alias: str
    pk: int
    table: str
    queries: list[list[float]]

    def judge(self, store: chroma.Store) -> ItemJudge:
        """A judge of it."""
        target = (self.alias, self.pk)
        return ItemJudge(store, self.collection, target, self.table, self.queries)


# A part to judge, or the collection whose target is asked the queries.
Task = tuple[Ground, chroma.Part | models.Collection]


def judge_parts(
    store: chroma.Store,
    ground: Ground,
    row: models.Collection,
    parts: list[chroma.Part],
    jobs: int,
    on_items: Callable[[int], None],
) -> tuple[list[ItemProof], Answers]:
    """The proof of each part, in the order of the parts; what the target answers the queries."""
    found: dict[chroma.Part | None, ItemProof] = {}
    if jobs < 2 or len(parts) < 2:
        judge = ground.judge(store)
        for part in parts:
            found[part] = judge.judge(part)
            on_items(sum(each.items for each in found.values()))
        return list(found.values()), ask_target(row, ground.queries)
    answers = Answers()
    # The search first: it is the longest.
    tasks: list[Task] = [(ground, row), *((ground, part) for part in parts)]
    for task, result in in_processes(_in_worker, tasks, jobs):
        if isinstance(result, Answers):
            answers = result
        elif isinstance(task[1], chroma.Part):
            found[task[1]] = result
            on_items(sum(each.items for each in found.values()))
    return [found[part] for part in parts], answers


_judges: dict[Path, ItemJudge] = {}


def _in_worker(task: Task) -> ItemProof | Answers:
    """In a worker: the judge is kept for the next part."""
    ground, what = task
    if isinstance(what, models.Collection):
        return ask_target(what, ground.queries)
    if ground.folder not in _judges:
        _judges[ground.folder] = ground.judge(chroma.open_copy(ground.folder))
    return _judges[ground.folder].judge(what)
