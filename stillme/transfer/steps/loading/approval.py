"""Whether what `--prune` found may be deleted: noted, measured, and asked."""

from __future__ import annotations

from collections.abc import Sequence

from stillme.transfer.inventory.deletions import NOT_CONFIRMED, Confirm, Deletion, too_much
from stillme.transfer.steps.loading.import_options import ImportOptions, ImportResult


class Approval:
    """Notes deletions in the result; approves all of them or none."""

    def __init__(self, options: ImportOptions, result: ImportResult, confirm: Confirm) -> None:
        self._options, self._result, self._confirm = options, result, confirm

    def __call__(self, found: Sequence[Deletion]) -> bool:
        """False in a dry run, above the share, and where it is not confirmed."""
        some = [each for each in found if each.rows or each.records]
        self._result.deletions += some
        if not some:
            return True
        refusal = too_much(some, self._options.prune_share)
        if not refusal and not self._options.dry_run and not self._confirm(some):
            refusal = NOT_CONFIRMED
        if refusal:
            self._result.refused.append(refusal)
        return not refusal and not self._options.dry_run
