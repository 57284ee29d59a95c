"""The go/no-go list of the cut-over: every line says what is the case, a red one what to do."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import connections
from django.utils import timezone

from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.models import DroppedObject, QuarantinedRow
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.postgresql.distributed import why_not_distributed
from stillme.transfer.records.ledger import is_another_cluster
from stillme.transfer.records.live_files import other_file
from stillme.transfer.records.proofs import files_to_prove, loaded_names, standing_proof
from stillme.transfer.records.recorded_clock import GUESS_ADVICE, guess_sentence, guessed_times
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.copying.backup_manifest import read_manifest
from stillme.transfer.steps.back_up import check_backup
from stillme.transfer.steps.merging.foreign import DECIDE, MOST, foreign_rows, some
from stillme.transfer.steps.readiness.lines import (
    GREEN,
    RED,
    YELLOW,
    Line,
    file_lines,
    inventory_lines,
    missing_lines,
    unowned_lines,
)
from stillme.transfer.steps.switching.tail import Judge
from stillme.transfer.steps.syncing.file_condition import Condition, condition
from stillme.transfer.steps.syncing.file_states import TARGET_IN_CHARGE
from stillme.transfer.steps.syncing.life_sign import age, moment
from stillme.visible import counted

OLDEST_PROOF = timedelta(hours=24)
OLDEST_BACKUP = timedelta(hours=24)
# Seconds that the clocks of two machines may be apart.
_SKEW = 60.0
# The lines whose risk somebody may take, by name and with a reason.
OVERRIDES = ("quarantine", "proof", "backup", "foreign")


def go_list(
    alias: str,
    files: Sequence[LegacyFile],
    backup: Path | None,
    judge: Judge,
    overrides: Mapping[str, str] | None = None,
) -> list[Line]:
    """All lines. A red one refuses the cut-over, unless it was overridden with a reason."""
    at = moment(alias)
    found = [condition(alias, file, at, with_clock=True) for file in files]
    refusal = why_not_distributed(connections[alias], "The cut-over")
    if refusal and not any(each.stand.state in TARGET_IN_CHARGE for each in found):
        # What the other lines advise is refused, too.
        return [Line(RED, "cluster", "tables are distributed", refusal)]
    lines = [*missing_lines(alias), *inventory_lines(alias), *_elsewhere(alias, files)]
    lines += [line for each in found for line in file_lines(each)]
    if any(each.stand.state in TARGET_IN_CHARGE for each in found):
        # The switch was made. What the other lines advise is refused now.
        return lines
    lines += [*_quarantine(alias), *_guesses(alias), *_foreign(alias, found)]
    lines += [*_proof(alias, files), _structure(files, judge)]
    lines += [*_server(alias), *_indexes(alias), *unowned_lines(alias)]
    lines += [*_disk(files), _backup(files, backup)]
    return [_overridden(line, overrides or {}) for line in lines]


def _overridden(line: Line, overrides: Mapping[str, str]) -> Line:
    reason = overrides.get(line.override, "") if line.colour == RED else ""
    if not reason:
        return line
    finding = f"{line.finding}; overridden: {reason}{_LOST.get(line.override, '')}"
    return replace(line, colour=YELLOW, finding=finding)


# What the way back cannot do once a risk was taken.
_LOST = {
    "foreign": (
        ". rollback_migration will not carry these rows back: the file keeps its own values of "
        "them and gets none of the rows that it lacks, unless they are written again after the "
        "cut-over"
    )
}


def is_go(lines: Sequence[Line]) -> bool:
    """Whether no line is red."""
    return all(line.colour != RED for line in lines)


def _elsewhere(alias: str, files: Sequence[LegacyFile]) -> list[Line]:
    """Captured files that are not where the settings look: what is there is not switched."""
    names = {file.name for file in files}
    absent = [file for file in legacy_files() if file.name not in names]
    found = [(file, other_file(alias, file)) for file in absent]
    return [Line(RED, f"{f.name}: file", "another file", other) for f, other in found if other]


def _quarantine(alias: str) -> list[Line]:
    # Of every file and store that was loaded: an absent one has rows that wait as well.
    rows = QuarantinedRow.objects.using(alias).filter(status="open").count()
    if rows:
        advice = "decide them: manage.py quarantine list (they stay in the files either way)"
        return [
            Line(
                RED,
                "quarantine",
                counted(rows, "row is open", "rows are open"),
                advice,
                "quarantine",
            )
        ]
    return [Line(GREEN, "quarantine", "nothing open")]


def _guesses(alias: str) -> list[Line]:
    guessed = guessed_times(alias)
    if guessed:
        return [Line(YELLOW, "local times", guess_sentence(guessed), GUESS_ADVICE)]
    return [Line(GREEN, "local times", "none read by a guess")]


def _foreign(alias: str, files: Sequence[Condition]) -> list[Line]:
    if is_another_cluster(alias):
        text = "nobody knows who wrote the rows: this database was restored from a dump"
        advice = (
            "manage.py sync_sqlite --once (or import_sqlite, without capture) compares every row "
            "with the files, adopts the equal ones and names the others"
        )
        return [Line(RED, "foreign writes", text, advice, "foreign")]
    lines = [
        _foreign_line(table, keys)
        for file in files
        for table, mapping in file.mappings.items()
        if (keys := foreign_rows(alias, mapping))
    ]
    return lines or [Line(GREEN, "foreign writes", "none in PostgreSQL")]


def _foreign_line(table: str, keys: Sequence[str]) -> Line:
    rows = f"{MOST} or more rows" if len(keys) == MOST else counted(len(keys), "row")
    text = f"{table}: somebody else wrote {rows} in PostgreSQL ({some(keys)})"
    advice = (
        "manage.py sync_sqlite --sweep compares them, adopts those that are equal to "
        f"the file's and names the others. {DECIDE}"
    )
    return Line(RED, "foreign writes", text, advice, "foreign")


def _proof(alias: str, files: Sequence[LegacyFile]) -> list[Line]:
    advice = "manage.py verify_migration"
    # Of every file and store that the target was loaded from, absent ones included.
    wanted = {file.name: file.path for file in files}
    loaded = loaded_names(alias)
    wanted |= {name: path for name, path in files_to_prove(alias).items() if name in loaded}
    standing = standing_proof(alias, wanted)
    proof = standing.proof
    if proof is None:
        return [Line(RED, "last proof", "there is no proof of all files", advice, "proof")]
    past = timezone.now() - proof.run.started_at
    text = f"{proof.verdict} ({proof.level}), {_old(past)}, findings: {proof.findings}"
    if standing.why:
        return [Line(RED, "last proof", f"{text}; {standing.why}", advice, "proof")]
    if proof.findings:
        return [Line(RED, "last proof", text, f"read its findings: {advice}", "proof")]
    if abs(past) > OLDEST_PROOF:
        return [Line(RED, "last proof", text, advice, "proof")]
    return [Line(GREEN, "last proof", text) if standing.is_proven else _undecided(alias, text)]


def _structure(files: Sequence[LegacyFile], judge: Judge) -> Line:
    """A proof looked at the tables, too; since then somebody may have changed them."""
    found = [finding for file in files for finding in judge.structure(file.name)]
    if not found:
        return Line(GREEN, "structure", "the target's tables are as declared")
    others = f", and {len(found) - 1:,} more" if found[1:] else ""
    advice = "manage.py verify_migration lists it all"
    return Line(RED, "structure", f"{found[0].sentence()}{others}", advice, "proof")


def _old(past: timedelta) -> str:
    """How old something is; it may be dated from before a clock was set back."""
    seconds = past.total_seconds()
    if seconds < -_SKEW:
        return f"dated {age(-seconds)} from now"
    return f"{age(max(0.0, seconds))} old"


def _undecided(alias: str, text: str) -> Line:
    """Not proven, only for rows in quarantine; while some are open another line refuses."""
    rows = QuarantinedRow.objects.using(alias).filter(status="open").values_list("file", flat=True)
    left = sorted(rows.distinct())
    advice = "manage.py verify_migration"
    if not left:
        text += "; its rows in quarantine are decided since"
        return Line(RED, "last proof", text, f"prove it now: {advice}", "proof")
    text += f"; undecided rows in quarantine of {', '.join(left)}"
    return Line(YELLOW, "last proof", text, f"manage.py quarantine list; decide, then {advice}")


def _server(alias: str) -> list[Line]:
    wanted = {"fsync": "on", "full_page_writes": "on", "default_transaction_read_only": "off"}
    found = {name: fetch_all(alias, f"SHOW {name}")[0][0] for name in wanted}
    lines = [
        Line(RED, f"server: {n}", str(found[n]), f"set {n} = {value} in postgresql.conf")
        for n, value in wanted.items()
        if found[n] != value
    ]
    if fetch_all(alias, "SELECT pg_is_in_recovery()")[0][0]:
        lines.append(Line(RED, "server", "a standby", "point DATABASE_URL at the primary"))
    return lines or [Line(GREEN, "server", "durable, writable")]


def _indexes(alias: str) -> list[Line]:
    down = DroppedObject.objects.using(alias).count()
    if down:
        advice = "manage.py import_sqlite builds them again"
        return [Line(RED, "indexes", f"{down} are taken down", advice)]
    return [Line(GREEN, "indexes", "all there")]


def _disk(files: Sequence[LegacyFile]) -> list[Line]:
    lines = []
    for folder in sorted({file.path.parent for file in files}):
        size = sum(f.path.stat().st_size for f in files if f.path.parent == folder)
        free = shutil.disk_usage(folder).free
        text = f"{free / 2**30:,.1f} GiB free next to the files"
        if free < size * 2:
            advice = "free some: the way back needs room for a journal of the files"
            lines.append(Line(RED, "disk", text, advice))
        else:
            lines.append(Line(GREEN, "disk", text))
    return lines


def _backup(files: Sequence[LegacyFile], directory: Path | None) -> Line:
    advice = "manage.py backup_sqlite, then cutover --backup DIR"
    named = directory or conf().backup_dir
    if not named:
        return Line(RED, "backup", "none was named", advice, "backup")
    directory = Path(named)
    try:
        problems = check_backup(directory) or _unfit(files, directory)
    except LegacyFileError as error:
        problems = [str(error)]
    if problems:
        return Line(RED, "backup", f"{directory}: {problems[0]}", advice, "backup")
    return Line(GREEN, "backup", f"{directory} is there and sound")


def _unfit(files: Sequence[LegacyFile], directory: Path) -> list[str]:
    """Why a sound backup is not the one to have at hand: too old, or of other files."""
    manifest = read_manifest(directory)
    found = []
    past = datetime.now(UTC) - datetime.fromisoformat(manifest.made_at).astimezone(UTC)
    if abs(past) > OLDEST_BACKUP:
        found.append(f"it is {_old(past)}")
    held = {entry.file for entry in manifest.files}
    found += [f"{file.name} is not in it" for file in files if file.name not in held]
    return found
