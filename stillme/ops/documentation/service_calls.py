"""The table of every call of the services, from their signatures and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from django.conf import settings

from stillme.ops.documentation.tables import code, table

# The modules of a domain that the application calls. `vector.client` is ChromaDB's.
ROOMS = ("api", "services")


def calls() -> Iterator[str]:
    """A table for each module, the old classes' methods next to the functions below them."""
    for name in (f"{domain}.{room}" for domain in settings.DOMAINS for room in ROOMS):
        if find_spec(name):
            yield ""
            yield f"### {name}"
            yield ""
            yield from table(("call", "does"), map(_row, public_calls(import_module(name))))
    yield ""


def public_calls(module: ModuleType) -> list[tuple[str, Callable[..., Any]]]:
    """`item_add`, or `KnowledgeRetention.add_knowledge`, with the function, in their order."""
    found: list[tuple[str, Callable[..., Any]]] = []
    offered = set(getattr(module, "__all__", ()))
    for key, value in vars(module).items():
        if key.startswith("_") or not (value.__class__ is type or inspect.isfunction(value)):
            continue
        if key not in offered and value.__module__ != module.__name__:
            continue
        if inspect.isfunction(value):
            found.append((key, value))
        else:
            own = [each for each in vars(value).items() if inspect.isfunction(each[1])]
            found.extend((f"{key}.{name}", each) for name, each in own if name[0] != "_")
    return found


def _row(call: tuple[str, Callable[..., Any]]) -> tuple[str, str]:
    name, function = call
    given = [_argument(each) for each in inspect.signature(function).parameters.values()]
    shown = ", ".join(argument for argument in given if argument != "self")
    says = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return code(f"{name}({shown})"), says.replace("|", "\\|")


def _argument(given: inspect.Parameter) -> str:
    if given.kind is given.VAR_KEYWORD:
        return f"**{given.name}"
    return given.name if given.default is given.empty else f"{given.name}={given.default!r}"
