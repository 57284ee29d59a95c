"""A line of the go/no-go list; the lines about one file, and about what is not accounted for.

    go     rss: state: following
    go     rss: capture: healthy
    no-go  rss: lag: 12,400 changes, 31.0 s behind -> let manage.py sync_sqlite --follow catch up

And which files a cut-over leaves as they are, because they are absent.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connections

from stillme.postgresql.unowned import PAGE, unowned_sentence, unowned_tables
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.entries import open_lines
from stillme.transfer.inventory.taking import readable_inventory
from stillme.transfer.plumbing.presence import absence
from stillme.transfer.records.missing import ADVICE, missing_legacy
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.capture import Health
from stillme.transfer.sqlite.copying.plain_files import journal_mode
from stillme.transfer.steps.syncing.file_condition import Condition
from stillme.transfer.steps.syncing.file_states import Action, State
from stillme.visible import counted

GREEN, YELLOW, RED = "go", "look", "no-go"
# The engine's own schema: tables of an older version may stand in it.
ENGINE = "transfer"
MOST_LAG = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `advice` is empty where nothing is to be done.

    `override` names the flag by which somebody may take the risk of a red line, with a reason.
    """

    colour: str
    subject: str
    finding: str
    advice: str = ""
    override: str = ""


def missing_lines(alias: str) -> list[Line]:
    """One line per file, table or store that was loaded and is gone.

    There is no --despite option for it: the application would go on without its rows, or with rows
    that nothing explains.
    """
    found = missing_legacy(alias)
    return [
        Line(RED, f"{m.file}: legacy", f"{m.path} {m.what}, but {m.known}", ADVICE) for m in found
    ]


def inventory_lines(alias: str) -> list[Line]:
    """One for each thing that holds data, is not carried, and that nobody decided to leave."""
    lines, problem = readable_inventory(alias)
    if problem:
        return [Line(RED, "inventory", problem, "make it readable, then manage.py inventory")]
    found = open_lines(lines)
    if not found:
        return [Line(GREEN, "inventory", "everything is carried, or left by a decision")]
    return [
        Line(RED, f"{line.file}: inventory", f"{line.name}: {line.why}", "manage.py inventory")
        for line in found
    ]


def others_tables(alias: str) -> str:
    """A sentence about the tables in the target that no installed app has; "" for none."""
    return unowned_sentence(unowned_tables(connections[alias], {ENGINE}))


def unowned_lines(alias: str) -> list[Line]:
    """One where another program keeps tables in the target. It may well: nobody is refused."""
    sentence = others_tables(alias)
    return [Line(YELLOW, "tables", sentence, f"see {PAGE}")] if sentence else []


def unswitched(files: Sequence[LegacyFile]) -> dict[str, str]:
    """Name -> why, for each file that the cut-over of `files` leaves as it is."""
    found = {}
    for file in _others(files):
        what = "is empty (0 bytes)" if file.path.exists() else "does not exist"
        found[file.name] = (
            f"{file.path} {what}, so nothing can be frozen; what the application writes to its "
            "tables in PostgreSQL is captured"
        )
    return found


def refuse_if_it_came(files: Sequence[LegacyFile]) -> None:
    """Raise TransferError where a file that was not there has come: it would be left behind."""
    for file in _others(files):
        if not absence(file.path):
            raise TransferError(
                f"{file.path} was made while the cut-over ran, and is not captured: run "
                "manage.py sync_sqlite --install and --once, then cut over again."
            )


def refuse_if_open(alias: str) -> None:
    """Raise TransferError where a file holds data now that nobody decided about.

    For frozen files: a table that came, or got its first row, after the go/no-go list was made.
    """
    lines, problem = readable_inventory(alias, with_stores=False)
    if found := open_lines(lines):
        problem = f"{found[0].file}.{found[0].name}: {found[0].why}"
    if problem:
        raise TransferError(
            f"{problem.rstrip('.')}. It was not there when the cut-over began: decide about it "
            "(manage.py inventory), then cut over again."
        )


def _others(files: Sequence[LegacyFile]) -> list[LegacyFile]:
    names = {file.name for file in files}
    return [file for file in legacy_files() if file.name not in names]


def file_lines(found: Condition) -> list[Line]:
    """The lines of a file. If a line makes the rest meaningless, it is the last one."""
    name, stand = found.file.name, found.stand
    if found.misplaced:
        return [Line(RED, f"{name}: file", "another file", found.misplaced)]
    found.require_readable()
    lines = [_state(found)]
    if not stand.is_captured:
        return lines
    if found.sign.problem and not found.sign.ended:
        advice = "or, right before the cut-over: manage.py sync_sqlite --once"
        lines.append(Line(RED, f"{name}: follower", found.sign.problem, advice))
    health = found.capture
    if not health.is_healthy:
        problem = health.problems[0] if health.problems else "not installed"
        advice = "manage.py sync_sqlite --install, then load and follow again"
        text = problem if health.health == Health.ABSENT else f"{health.health}: {problem}"
        return [*lines, Line(RED, f"{name}: capture", text, advice)]
    if found.history:
        return [*lines, Line(RED, f"{name}: capture", "another file", found.history)]
    lines += [Line(GREEN, f"{name}: capture", "healthy"), _lag(found), _sweep(found)]
    lines += _other_name(found.file)
    if found.clock:
        lines.append(Line(RED, f"{name}: clock", found.clock, "then verify_migration"))
    return lines


def _other_name(file: LegacyFile) -> list[Line]:
    """One for a hard link of a file in WAL mode: each name has a `-wal` of its own.

    It is harmless where it is a backup's (`cp -al`), which nobody opens: so nobody is refused.
    https://www.sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file
    """
    if file.path.stat().st_nlink == 1 or journal_mode(file.path) != "wal":
        return []
    text = (
        "the file has another name (a hard link), and is in WAL mode: what a program writes under "
        "that name is in another -wal, where nobody sees it"
    )
    advice = (
        f"find the name (find / -xdev -samefile {shlex.quote(str(file.path))}), see that no "
        "program has the file open under it, and delete it"
    )
    return [Line(YELLOW, f"{file.name}: name", text, advice)]


def _state(found: Condition) -> Line:
    stand = found.stand
    if stand.allows(Action.CUT_OVER):
        return Line(GREEN, f"{stand.file}: state", stand.state)
    word = "not captured" if stand.state == State.ABSENT else stand.state
    return Line(RED, f"{stand.file}: state", word, found.next_step)


def _lag(found: Condition) -> Line:
    subject, lag = f"{found.file.name}: lag", found.lag
    text = f"{counted(lag.changes, 'change')}, {lag.seconds:.1f} s behind"
    if lag.changes > MOST_LAG:
        return Line(RED, subject, text, "let manage.py sync_sqlite --follow catch up first")
    return Line(GREEN, subject, text)


def _sweep(found: Condition) -> Line:
    """What the last sweep says. The cut-over makes its own before it freezes anything."""
    subject, details = f"{found.file.name}: sweep", found.stand.details
    if bypassed := details.get("bypassed"):
        text = ", ".join(
            f"{table}: {counted(len(keys), 'row')}" for table, keys in bypassed.items()
        )
        advice = (
            "find the writer that bypassed capture; then manage.py import_sqlite --prune and "
            "manage.py sync_sqlite --sweep"
        )
        return Line(RED, subject, f"bypassed capture: {text}", advice)
    at = str(details.get("swept_at", ""))[:16]
    text = f"nothing bypassed capture up to {at}" if at else "none yet"
    if details.get("schema_version") != found.schema_version:
        text += "; the schema of the file was changed since"
    return Line(GREEN, subject, f"{text}; the cut-over sweeps again")
