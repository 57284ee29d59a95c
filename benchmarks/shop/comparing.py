"""Every row of the six tables by the ORM, on both sides: `python -m benchmarks.shop.comparing`.

Prints, as JSON, the rows that only one side has and the rows that differ, and an example of each.
It shares nothing with any loader nor with this project's own judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import django

Row = tuple[Any, ...]


def main() -> None:
    django.setup()
    from django.apps import apps

    found: dict[str, Any] = {"rows": 0, "lost": 0, "added": 0, "changed": 0, "examples": []}
    for model in apps.get_app_config("shop").get_models(include_auto_created=True):
        names = [field.attname for field in model._meta.local_concrete_fields]
        keys = names[:1]
        if model._meta.auto_created:
            # A pair is a pair under whatever number; loaddata gives new ones.
            names = keys = names[1:]
        sides = [read(model, alias, names, keys) for alias in ("old", "default")]
        compare(*sides, names, len(keys), model._meta.db_table, found)
    print(json.dumps(found))


def read(model: Any, alias: str, names: list[str], keys: list[str]) -> Iterator[Row]:
    """The rows as the ORM gives them, by their keys: both sides order these alike."""
    rows: Iterator[Row] = model.objects.using(alias).order_by(*keys).values_list(*names).iterator()
    return rows


def compare(
    old: Iterator[Row],
    new: Iterator[Row],
    names: list[str],
    keys: int,
    table: str,
    found: dict[str, Any],
) -> None:
    """Go through both at once; the key is the first columns."""
    ours, theirs = next(old, None), next(new, None)
    while ours is not None or theirs is not None:
        found["rows"] += ours is not None
        if theirs is None or (ours is not None and ours[:keys] < theirs[:keys]):
            note(found, "lost", table, ours, None)
            ours = next(old, None)
        elif ours is None or theirs[:keys] < ours[:keys]:
            note(found, "added", table, None, theirs)
            theirs = next(new, None)
        else:
            if ours != theirs:
                both = zip(names, ours, theirs, strict=True)
                cell = next((name, a, b) for name, a, b in both if a != b)
                note(found, "changed", f"{table}.{cell[0]}", cell[1], cell[2])
            ours, theirs = next(old, None), next(new, None)


def note(found: dict[str, Any], what: str, where: str, old: Any, new: Any) -> None:
    found[what] += 1
    if not any(example[:2] == [what, where] for example in found["examples"]):
        found["examples"].append([what, where, str(old)[:60], str(new)[:60]])


if __name__ == "__main__":
    main()
