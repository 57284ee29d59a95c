"""Where each file stands: state, rows, lag, quarantine, last proof, next step."""

from __future__ import annotations

from dataclasses import dataclass, field

from stillme.transfer.inventory.entries import open_lines
from stillme.transfer.inventory.stores import Store, stores
from stillme.transfer.inventory.taking import readable_inventory
from stillme.transfer.models import CarriedCell, ReverseChange
from stillme.transfer.plumbing.own_sql import Health
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.records.missing import ADVICE, Missing, missing_legacy
from stillme.transfer.records.proofs import files_to_prove, standing_proof
from stillme.transfer.records.totals import Totals, added_up, table_totals
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.steps.readiness.lines import others_tables
from stillme.transfer.steps.sealing.broken import broken_seals
from stillme.transfer.steps.syncing.file_condition import condition
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.life_sign import Moment, moment
from stillme.visible import counted

_STANDBY = (
    "DATABASE_URL names a standby: what is shown may be older than the primary, and no command "
    "that writes works here. Point DATABASE_URL at the primary."
)


@dataclass(kw_only=True)
class _Status:
    """Of a file or a store. `loaded` and `repaired` are of the last import of its tables, at
    `as_of`; what is in quarantine is of now: open, accepted, mended by hand and loaded."""

    path: str
    loaded: int = 0
    repaired: int = 0
    as_of: str = ""
    quarantine_open: int = 0
    accepted: int = 0
    mended: int = 0
    next_step: str = ""
    problem: str = ""

    def note_totals(self, totals: Totals) -> None:
        """What was loaded and set aside."""
        self.loaded, self.repaired = totals.loaded, totals.repaired
        self.as_of = "" if totals.as_of is None else totals.as_of.isoformat(timespec="seconds")
        self.quarantine_open, self.accepted = totals.open, totals.accepted
        self.mended = totals.mended


@dataclass
class FileStatus(_Status):
    """One legacy file. `silent` says that nobody follows a file that is to be followed."""

    file: str
    state: str
    capture: str = "absent"
    frozen: bool = False
    lag_changes: int = 0
    lag_seconds: float = 0.0
    written_since_cutover: int = 0
    seen_at: str = ""
    silent: str = ""

    @property
    def word(self) -> str:
        """The state as a person says it; the ledger calls every file without capture absent."""
        if self.state != State.ABSENT:
            return self.state
        return "loaded" if self.as_of else "not loaded"


@dataclass
class StoreStatus(_Status):
    """A store of another kind (the vector folder): no capture, it is moved with writers stopped."""

    store: str
    tables: int = 0


@dataclass(slots=True)
class Overview:
    """All files, and what concerns them together."""

    files: list[FileStatus] = field(default_factory=list)
    stores: list[StoreStatus] = field(default_factory=list)
    proof: str = "none"
    proof_status: int | None = None
    proof_counts: bool = False
    reverse_capture: str = "absent"
    target_frozen: bool = False
    carried_cells: int = 0
    inventory_open: list[str] = field(default_factory=list)
    unowned_tables: str = ""
    broken_seals: list[str] = field(default_factory=list)
    standby: str = ""


def overview(alias: str, counted: int | None = None) -> Overview:
    """Read everything; writes nothing. A page counts no further than `counted` rows of a kind."""
    gone = missing_legacy(alias)
    tables = table_totals(alias, counted)
    now = moment(alias)
    relations = reverse.target_tables([file.name for file in legacy_files()])
    # A folder of vectors takes its time: a page looks at the files only.
    lines, problem = readable_inventory(alias, with_stores=counted is None)
    found = Overview(
        [_file(alias, f, added_up(tables, f.name), counted, now) for f in legacy_files()],
        [_store(alias, s, [t for t in tables if t.file == s.name]) for s in stores()],
        *proof_sentence(alias),
        reverse_capture=str(reverse.status(alias, relations).health),
        target_frozen=reverse.is_frozen(alias, relations),
        carried_cells=CarriedCell.objects.using(alias)[:counted].count(),
        inventory_open=[line.sentence for line in open_lines(lines)] + [problem] * bool(problem),
        unowned_tables=others_tables(alias),
        broken_seals=[broken.sentence for broken in broken_seals(alias)],
        standby=_STANDBY if fetch_all(alias, "SELECT pg_is_in_recovery()")[0][0] else "",
    )
    for status in found.files:
        if status.state != State.FINISHED:
            _note_missing(status, [line for line in gone if line.file == status.file])
    for kept in found.stores:
        _note_missing(kept, [line for line in gone if line.file == kept.store])
    if found.reverse_capture != Health.HEALTHY:
        _note_unlogged_writes(found)
    if found.target_frozen:
        _note_broken_rollback(found)
    return found


def _note_unlogged_writes(found: Overview) -> None:
    """PostgreSQL is in charge, and nobody notes what the way back would have to carry."""
    for status in found.files:
        if status.state == State.LIVE:
            status.problem = (
                f"reverse capture is {found.reverse_capture}: writes to PostgreSQL are not logged"
            )
            status.next_step = "manage.py cutover once more, which puts it back"


def _note_broken_rollback(found: Overview) -> None:
    """Files that are live on a PostgreSQL that takes no writes: nobody can write anywhere."""
    for status in found.files:
        if status.state == State.LIVE:
            status.problem = "PostgreSQL refuses writes: a rollback was broken off"
            status.next_step = (
                "manage.py rollback_migration again, or manage.py sync_sqlite --unfreeze to stay "
                "on PostgreSQL"
            )


def _note_missing(status: _Status, gone: list[Missing]) -> None:
    if gone:
        first = gone[0]
        more = f" (and {counted(len(gone) - 1, 'more table')})" if len(gone) > 1 else ""
        status.problem = f"{first.path} {first.what}, but {first.known}{more}"
        status.next_step = ADVICE


def proof_sentence(alias: str) -> tuple[str, int | None, bool]:
    """What is proven of everything that is there or was loaded: in words, exit status, whether
    that proof counts."""
    standing = standing_proof(alias, files_to_prove(alias))
    proof = standing.proof
    if proof is None:
        return "none", None, False
    words = f"{proof.verdict} ({proof.level}), as of {proof.run.started_at:%Y-%m-%d %H:%M} UTC"
    if not standing.why:
        return words, proof.exit_status, True
    return f"none that counts: {standing.why}. It said: {words}", proof.exit_status, False


def _store(alias: str, store: Store, tables: list[Totals]) -> StoreStatus:
    imported = [table for table in tables if table.as_of is not None]
    status = StoreStatus(store.name, len(imported), path=str(store.path()))
    status.note_totals(added_up(tables))
    if not store.is_present():
        status.next_step = "nothing: there is no such store"
    elif not imported:
        status.next_step = f"stop its writers: manage.py import_sqlite --file {store.name}"
    elif standing_proof(alias, {store.name: store.path()}).is_proven:
        status.next_step = (
            "nothing, if nobody has written to it since its proof: a store is not followed"
        )
    else:
        status.next_step = f"manage.py verify_migration --file {store.name}"
    return status


def _file(
    alias: str, file: LegacyFile, totals: Totals, counted: int | None, now: Moment
) -> FileStatus:
    found = condition(alias, file, now)
    status = FileStatus(
        file.name,
        found.stand.state,
        str(found.capture.health),
        found.frozen is not None,
        *found.lag,
        path=str(file.path),
        next_step=found.next_step,
        problem=found.problem,
        seen_at=str(found.stand.details.get("seen_at", "")),
        silent=found.sign.problem,
    )
    status.note_totals(totals)
    if found.stand.state == State.LIVE:
        relations = [t.name for t in reverse.target_tables([file.name])]
        written = ReverseChange.objects.using(alias).filter(relation__in=relations)
        distinct = written.values("relation", "key").distinct()
        status.written_since_cutover = distinct[:counted].count()
    return status
