"""The lines of the go/no-go list about one file: state, follower, capture, lag, sweep.

go     rss: state: following
go     rss: capture: healthy
no-go  rss: lag: 12,400 changes, 31.0 s behind -> let manage.py sync_sqlite --follow catch up
"""

from __future__ import annotations

from stillme.transfer.sqlite.capture import Health
from stillme.transfer.steps.readiness.accounted_lines import GREEN, RED, Line
from stillme.transfer.steps.syncing.file_condition import Condition
from stillme.transfer.steps.syncing.file_states import Action, State

MOST_LAG = 10_000


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
    if found.clock:
        lines.append(Line(RED, f"{name}: clock", found.clock, "then verify_migration"))
    return lines


def _state(found: Condition) -> Line:
    stand = found.stand
    if stand.allows(Action.CUT_OVER):
        return Line(GREEN, f"{stand.file}: state", stand.state)
    word = "not captured" if stand.state == State.ABSENT else stand.state
    return Line(RED, f"{stand.file}: state", word, found.next_step)


def _lag(found: Condition) -> Line:
    subject, lag = f"{found.file.name}: lag", found.lag
    text = f"{lag.changes:,} changes, {lag.seconds:.1f} s behind"
    if lag.changes > MOST_LAG:
        return Line(RED, subject, text, "let manage.py sync_sqlite --follow catch up first")
    return Line(GREEN, subject, text)


def _sweep(found: Condition) -> Line:
    """What the last sweep says. The cut-over makes its own before it freezes anything."""
    subject, details = f"{found.file.name}: sweep", found.stand.details
    if bypassed := details.get("bypassed"):
        text = ", ".join(f"{table}: {len(keys)} rows" for table, keys in bypassed.items())
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
