"""Reading the environment: django-environ's scheme, with a sentence for what cannot be read.

django-environ would take a misspelt switch for false, `1e3` for 13, and the default for a value
that begins with a dollar sign; and it would go on without a line of `.env` that it cannot parse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from stillme.dotenv import read_dotenv
from stillme.visible import is_utf_8, visible


class Environment(environ.Env):  # type: ignore[misc]  # the package has no types
    """django-environ's Env; the value itself is not repeated, since it may be a secret."""

    @classmethod
    def read_env(cls, env_file: Path, **options: Any) -> None:
        """Take the variables of a `.env` that the environment itself has not.

        Raises ImproperlyConfigured where a line cannot be read.
        """
        for name, value in read_dotenv(env_file).items():
            cls.ENVIRON.setdefault(name, value)

    def get_value(self, var: str, *arguments: Any, **keywords: Any) -> Any:
        """The value of a variable in its declared type, an empty one counting as not given.

        `$NAME` stands for the variable NAME where there is one.
        """
        cast, default = self.scheme[var]
        value = self.ENVIRON.get(var, "")
        if value.startswith("$"):
            value = self.ENVIRON.get(value[1:], value)
        if not value.strip():
            return default
        try:
            return CASTS[cast](value.strip())
        except ValueError:
            # Not from the error: it repeats the value.
            raise ImproperlyConfigured(
                f"The environment variable {var} is no {KINDS[cast]}: correct it, or "
                f"unset it for the default ({default!r})."
            ) from None

    def choice(self, var: str, choices: Sequence[str]) -> str:
        """One of the words, in whatever case it is written."""
        given: str = self(var)
        for word in choices:
            if given.lower() == word.lower():
                return word
        raise ImproperlyConfigured(
            f"The environment variable {var} is none of {', '.join(choices)}: correct it, or unset "
            "it for the default."
        )

    def place(self, var: str, base: Path, default: Path | None = None) -> Path:
        """A path, relative ones below `base`; `~` is the user's home."""
        given: str = self(var) or str(default or "")
        if given.startswith("$"):
            raise ImproperlyConfigured(
                f"The environment variable {var} begins with a dollar sign, which stands for "
                "nothing here: write the path out."
            )
        try:
            found = (base / Path(given).expanduser()).absolute()
        except RuntimeError as error:
            raise ImproperlyConfigured(
                f"The home directory that {var} begins with is not known: write the path out."
            ) from error
        if not is_utf_8(found):
            raise ImproperlyConfigured(
                f"{var} leads to {visible(str(found))}, a name that is not UTF-8, which PostgreSQL "
                "cannot record: rename it, or make a link to it (ln -s) and name the link."
            )
        return found


def _switch(value: str) -> bool:
    word = value.lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError


def _list(value: str) -> list[str]:
    return [member for part in value.split(",") if (member := part.strip())]


TRUE = (*environ.Env.BOOLEAN_TRUE_STRINGS, "t")
FALSE = ("false", "off", "no", "n", "f", "0")
CASTS: dict[type, Callable[[str], Any]] = {
    str: str,
    bool: _switch,
    int: int,
    float: float,
    list: _list,
}
KINDS = {int: "whole number", float: "number", bool: "switch (true or false)"}
