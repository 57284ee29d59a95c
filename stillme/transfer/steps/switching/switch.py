"""One try to move the application from one side to the other, which ends whole or undone.

Writers are locked out of the side that is in charge, and the limit begins. What is still to be
carried is carried and proven. Then the *mark*, one transaction in PostgreSQL, puts the other side
in charge. Whatever fails before the mark is undone: the side that was in charge takes writes again.
If the COMMIT of the mark was sent and its answer was lost, PostgreSQL is asked whether it stands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from django.db import Error, connections

from stillme.transfer.errors import Busy, TransferError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.models import Run
from stillme.transfer.postgresql.locks import require_exclusive
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.switching.limit import Limit, OverLimit
from stillme.transfer.steps.switching.thaw import PATIENCE, insist, mark_stands
from stillme.transfer.steps.syncing.file_states import State, standing


class Switch(ABC):
    """A try in one direction; each direction sets these attributes.

    `name` names the switch in the limit's messages.
    `advice` says in those messages what to do if the switch was given up.
    `leaves_target` tells that PostgreSQL is in charge before.
    `marked` is the files' state once the mark stands.
    `unknown` is the error's sentence if nobody knows whether the mark stands.
    """

    name: str
    advice: str
    leaves_target: bool
    marked: str
    unknown: str

    def __init__(
        self,
        alias: str,
        files: Sequence[LegacyFile],
        run: Run,
        on_event: OnEvent,
        freeze_limit: float,
    ) -> None:
        self.alias = alias
        self.files = files
        self.run = run
        self.on_event = on_event
        self.limit = Limit(self.name, freeze_limit, self.advice, connections[alias])
        # Seconds that writers were kept out when the mark was set.
        self.locked_out = 0.0
        self._mark_was_sent = False

    @abstractmethod
    def work(self) -> None:
        """Everything from the first look to the mark."""

    @abstractmethod
    def let_writers_in(self) -> str | None:
        """Undo the freeze. None where nobody was locked out, else what is still locked ("")."""

    def attempt(self) -> None:
        """Do the work. If it fails before the mark, undo everything and raise the error.

        If only the answer to the mark's COMMIT was lost, the work is done. If PostgreSQL does not
        say whether the mark stands, undo nothing and raise TransferError with `unknown`.
        """
        try:
            self.work()
            self.locked_out = self.limit.spent
        except BaseException as error:
            if not self._mark_stands():
                self._refuse_where_overtaken(error)
                self.undo(error)
                raise
        finally:
            self.limit.end()

    def say(self, message: str) -> None:
        """Tell the operator something."""
        self.on_event(Event("notice", {"message": message}))

    def patience(self) -> str:
        """What is left of the limit, as a lock time-out of PostgreSQL."""
        return f"{self.limit.left() * 1000:.0f}ms"

    def _refuse_where_overtaken(self, error: BaseException) -> None:
        """Raise Busy where another command has made the switch after this one lost its lock.

        What is closed to writers now is closed by that one, and must stay so; also where nobody
        says who is in charge: then raise TransferError with `unknown`.
        """
        try:
            require_exclusive(self.alias)
        except Busy:
            try:
                sides = insist(self.alias, self._sides_in_charge, PATIENCE)
            except Error as silent:
                raise TransferError(self.unknown) from silent
            if sides == {self.leaves_target}:
                return
            raise Busy(
                f"Another command has made the {self.name} after the server ended the session "
                "that kept it out; nothing of that was undone: see manage.py migration_status."
            ) from error

    def _sides_in_charge(self) -> set[bool]:
        """Of each file, whether PostgreSQL is in charge."""
        states = {standing(self.alias, file.name).state for file in self.files}
        return {state in (State.LIVE, State.FINISHED) for state in states}

    def _mark_stands(self) -> bool:
        """Whether the mark was set after all: its COMMIT was done, only the answer was lost."""
        self.limit.end()
        self.locked_out = self.limit.spent
        if not self._mark_was_sent:
            return False
        return mark_stands(self.alias, self.files, self.marked, self.limit, self.unknown)

    def undo(self, error: BaseException) -> None:
        """Let writers in again. Raises a better error where there is more to be said."""
        locked = self.let_writers_in()
        if locked is None or not isinstance(error, Exception):
            return
        told = self.limit.told(error)
        if locked:
            raise TransferError(f"{told} {locked}") from error
        if self.limit.ended(error):
            raise OverLimit(told) from error
