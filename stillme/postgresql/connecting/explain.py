"""What can be wrong with the database server, as sentences an operator can act on."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from django.apps import apps

from stillme.postgresql.embedded import EmbeddedServerError

SET_URL = "check DATABASE_URL (without it the embedded server is used)"
NO_PASSWORD = "correct the user and the password in DATABASE_URL"  # noqa: S105 - it is advice

NOT_MIGRATED = "The database is not migrated ({0}): run `python manage.py migrate`."
NO_SCHEMA = (
    "None of the schemas in the role's search_path is in this database, and Django's tables need "
    "one: create the first of them, or ALTER ROLE ... RESET search_path."
)
# Whether it is CREATE or USAGE that is missing, the server does not tell.
_NO_RIGHT = r"permission denied for (database|schema) ([^\s)]+)"
NO_RIGHT = (
    "The database user lacks a right on the {0} {1}: have its owner GRANT CREATE ON {2} {1} to it "
    "(for `migrate`; to use tables in a schema, USAGE), or name another user in DATABASE_URL."
)

# What libpq or the server says, and what to do about it. A connection that was refused carries
# no SQLSTATE, so its text is all there is. The first match counts; {0} is what it captured.
SENTENCES = (
    (
        r"the remote node .* failed|failed to COPY to shard|any active placements"
        r"|closed the connection .*while executing command on",
        "A node of the cluster does not answer, and what it has cannot be used until it does; "
        "/readyz says which. Start it, then run the command again.",
    ),
    (
        r'database "(.+?)" does not exist',
        "There is no database {0}: make it with `python manage.py create_database`.",
    ),
    (
        r'password authentication failed for user "(.+?)"',
        f"PostgreSQL refuses the password of {{0}}: {NO_PASSWORD}.",
    ),
    (r"no password supplied", f"PostgreSQL wants a password: {NO_PASSWORD}."),
    (r'role "(.+?)" does not exist', f"PostgreSQL knows no user {{0}}: {NO_PASSWORD}."),
    (
        r'(?:Peer|Ident) authentication failed for user "(.+?)"',
        "PostgreSQL lets in {0} only under "
        "the system user of that name: add a host to DATABASE_URL, or run this as that user.",
    ),
    (
        r"no pg_hba.conf entry for (.+)",
        "The PostgreSQL server lets nobody in from here ({0}): allow it in its pg_hba.conf.",
    ),
    (r'could not translate host name "(.+?)"', f"The host {{0}} is not known: {SET_URL}."),
    (r"failed to resolve host '(.+?)'", f"The host {{0}} is not known: {SET_URL}."),
    (
        r'(server at .+?|server on socket ".+?") failed: Connection refused',
        f"No PostgreSQL answers (no {{0}}): start it, or {SET_URL}.",
    ),
    (
        r'server on socket "(.+?)" failed: No such file',
        f"No PostgreSQL answers at the socket {{0}}: start it, or {SET_URL}.",
    ),
    (r"timeout expired", f"The PostgreSQL server does not answer in time: {SET_URL}."),
    (
        r"too many clients|connection slots are reserved",
        "The PostgreSQL server has no connection "
        "left: close some, lower DB_POOL_MAX_SIZE, or raise max_connections.",
    ),
    (
        r"is (starting up|shutting down|in recovery mode)",
        "The PostgreSQL server is {0}: try again in a moment.",
    ),
    (
        r"couldn't get a connection after (.+? sec)",
        "No connection of the pool came free in {0}: "
        "raise DB_POOL_MAX_SIZE or DB_POOL_TIMEOUT, or check that the server is up.",
    ),
    (
        r"server closed the connection|terminating connection|connection is lost",
        "The PostgreSQL server ended the connection: see its log, then run the command again.",
    ),
    (
        r"attempt to write a readonly database",
        "The legacy files are read-only: run the command without `--database legacy_...`.",
    ),
)

# What the system says of a connection that broke. It counts wherever it is in a chain of errors:
# what then fails to reach the server once more, to tidy up, is no news.
_BROKEN = "Connection timed out|No route to host|Network is unreachable|Connection reset by peer"
BROKEN = (
    "The PostgreSQL server has gone silent, or the network to it is cut; what was committed stays: "
    "check the network, then run the command again."
)

_OVER_TIME = (
    "The PostgreSQL server ended the connection, because {0} is too short for this: ALTER ROLE ... "
    "SET {0} = 0 for the user of DATABASE_URL, then run the command again."
)

# The same for an error of a statement, by SQLSTATE.
STATES = {
    "42P01": NOT_MIGRATED,
    "3F000": NOT_MIGRATED,
    "42703": NOT_MIGRATED,
    "42501": "The database user lacks a right: {0}.",
    "53100": "The disk of the PostgreSQL server is full: make room, then run the command again.",
    "53200": "The PostgreSQL server is out of memory: {0}.",
    "55P03": "A table is locked by somebody else: wait until they have ended, then run the command "
    "again, or let it wait for longer (LOCK_TIMEOUT; --freeze-limit of a switch).",
    "57014": "The server stopped a statement: {0} (see STATEMENT_TIMEOUT).",
    "25P03": _OVER_TIME.format("idle_in_transaction_session_timeout"),
    "25P04": _OVER_TIME.format("transaction_timeout"),
    "57P05": _OVER_TIME.format("idle_session_timeout"),
    "25006": "The PostgreSQL server takes no writes: it is a replica or set read-only.",
}


# What a project calls it that has no command and no variable of StillMe's.
_ELSEWHERE = {
    SET_URL: 'check DATABASES["default"]',
    "DATABASE_URL": 'DATABASES["default"]',
    "`python manage.py create_database`": "`createdb`",
}


def explain_operational_error(error: BaseException) -> str:
    """One sentence on a database error, without secrets, saying what to do where that is known."""
    sentence = _sentence(error)
    if apps.apps_ready and not apps.is_installed("stillme.postgresql"):
        for here, elsewhere in _ELSEWHERE.items():
            sentence = sentence.replace(here, elsewhere)
    return sentence


def _sentence(error: BaseException) -> str:
    if isinstance(error, EmbeddedServerError):
        return str(error)
    if any(_is_broken(link) for link in _chain(error)):
        return BROKEN
    text = " ".join(str(error).split())
    state = sqlstate(error)
    if "no schema has been selected to create in" in text:
        return NO_SCHEMA
    if state == "42501" and (found := re.search(_NO_RIGHT, text)):
        return NO_RIGHT.format(*found.groups(), found[1].upper())
    if state in STATES:
        return STATES[state].format(first_line(error))
    for pattern, sentence in SENTENCES:
        if found := re.search(pattern, text):
            return sentence.format(*found.groups())
    return f"PostgreSQL says: {first_line(error)}."


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a Django or psycopg error, where it has one."""
    states = (getattr(link, "sqlstate", None) for link in _chain(error))
    return next((state for state in states if isinstance(state, str)), None)


def _is_broken(link: BaseException) -> bool:
    """Whether it is psycopg's word that a connection broke; the server's may quote a row."""
    said_by_server = getattr(link, "sqlstate", "")
    return said_by_server is None and re.search(_BROKEN, str(link)) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it came from or came on top of."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def first_line(error: BaseException) -> str:
    """The first line of a message: the lines after it may show values of rows."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__


def explain_exhaustion(error: BaseException) -> str:
    """The sentence for a process that gets no more memory, threads or processes; '' for others."""
    by_number = isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EAGAIN)
    # SQLite's, Python's threads', and the loader's of shared libraries, in their own words.
    said = str(error).endswith(("out of memory", "can't start new thread", "shared object"))
    if not by_number and not said and not isinstance(error, MemoryError):
        return ""
    return (
        "The system gives this process no more memory, threads or processes: what was committed "
        "stays. Raise the limit (`ulimit -v`, `ulimit -u`, the container's), or lower --jobs where "
        "the command has it, and run it again."
    )
