"""Reading the environment: django-environ, with a sentence for a value it cannot read."""

from __future__ import annotations

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured


class Environment(environ.Env):  # type: ignore[misc]  # the package has no types
    """django-environ's Env; the value itself is not repeated, since it may be a secret."""

    def get_value(self, var: str, *arguments: Any, **keywords: Any) -> Any:
        """The value of a variable in its declared type, an empty one counting as not given."""
        cast, default = self.scheme.get(var, (None, None))
        if isinstance(self.ENVIRON.get(var), str) and not self.ENVIRON[var].strip():
            return default
        try:
            return super().get_value(var, *arguments, **keywords)
        except ValueError as error:
            kind = getattr(cast, "__name__", "value")
            raise ImproperlyConfigured(
                f"The environment variable {var} is no {KINDS.get(kind, kind)}: correct it, or "
                f"unset it for the default ({default!r})."
            ) from error


KINDS = {"int": "whole number", "float": "number"}
