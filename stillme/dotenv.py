"""Reading `.env`: every line is understood, or nothing is read and the line's number is told.

A line that was skipped could be the one with DATABASE_URL: the work would then go into another
database. What a line says is never repeated, since it may be a password.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

# UTF-32 before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*)")
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_COMMENT = re.compile(r"\s#")


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a file; {} where there is none. Of a name given twice the last counts.

    Blanks around `=`, `export`, quotes, comments behind a blank, CRLF, a byte order mark and UTF-16
    are understood. Raises ImproperlyConfigured for a line that is not.
    """
    found = _variables(_text(path))
    # Raised here, where no local variable holds a line: some tools print those.
    if isinstance(found, int):
        raise ImproperlyConfigured(
            f"Line {found} of {path} cannot be read: write it as NAME=value, with quotes around "
            "the whole value or nowhere, or put # before it."
        )
    return found


def _variables(text: str) -> dict[str, str] | int:
    """Name -> value, or the number of the first line that is neither that nor a comment."""
    found: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = None if match is None else _value(match[2])
        if match is None or value is None or "\0" in value:
            return number
        found[match[1]] = value
    return found


def _value(written: str) -> str | None:
    """What stands behind the equals sign, without quotes and comment; None: a quote is stray."""
    text = written.strip()
    if text.startswith("'"):
        single = _SINGLE.fullmatch(text)
        return single[1] if single else None
    if text.startswith('"'):
        double = _DOUBLE.fullmatch(text)
        # \n, \r and \t stay two characters, as django-environ leaves them.
        return re.sub(r"\\([^nrt])", r"\1", double[1]) if double else None
    return _COMMENT.split(written, maxsplit=1)[0].strip()


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if not path.is_symlink():
            return ""
        raise _unreadable(path, "it is a link to nothing") from None
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    encoding = "utf-8"
    for mark, name in _MARKS:
        if content.startswith(mark):
            content, encoding = content[len(mark) :], name
            break
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        # Not from the error itself, which holds the whole file.
        line = content[: error.start].count(b"\n") + 1
    raise _unreadable(path, f"line {line} is not {encoding.upper()}; save it as UTF-8")


def _unreadable(path: Path, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"The settings in {path} cannot be read ({reason}): correct it, or move the file away to "
        "go on with the environment's variables alone."
    )
