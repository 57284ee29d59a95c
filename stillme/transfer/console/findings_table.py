"""The findings of a proof as a table: key, column, expected, found, and the way to the row."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib.admin.utils import quote
from django.db import models
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from stillme.services.arguments import whole_key
from stillme.transfer.mapping import split_table
from stillme.transfer.models import Proof
from stillme.transfer.registry import legacy_models
from stillme.visible import counted

_HEADS = ("table", "key", "column", "expected", "found", "kind")
_TABLE = (
    '<div class="console-wide" tabindex="0" role="region" aria-label="Findings">'
    '<table class="console-cells"><caption>{}</caption><thead><tr>{}</tr></thead>'
    "<tbody>{}</tbody></table></div>"
)
_LINE = (
    '<tr><td>{}</td><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}<br>{}</td></tr>'
)

Finding = dict[str, Any]


def findings_table(proof: Proof) -> SafeString:
    """HTML of the findings that the proof's run recorded; one query for each table named."""
    kept: list[Finding] = proof.run.summary.get("findings", [])
    if not proof.findings:
        return SafeString("none")
    pages = _pages(kept)
    heads = format_html_join("", '<th scope="col">{}</th>', ((name,) for name in _HEADS))
    lines = format_html_join("", _LINE, (_line(finding, pages) for finding in kept))
    return format_html(_TABLE, _caption(proof.findings, len(kept)), heads, lines)


def _caption(total: int, kept: int) -> str:
    if kept == total:
        return counted(total, "finding")
    return (
        f"The first {kept:,} of {total:,} findings; manage.py verify_migration --html FILE shows "
        "up to 10,000"
    )


def _line(finding: Finding, pages: dict[tuple[str, str], str]) -> tuple[Any, ...]:
    table, column = _place(finding)
    key = finding["key"] or ""
    page = pages.get((table, key))
    shown = format_html('<a href="{}">{}</a>', page, key) if page else key
    kind = str(finding["kind"]).replace("_", " ")
    return (
        table,
        shown,
        column,
        finding["expected"] or "",
        finding["found"] or "",
        kind,
        (finding["note"] or ""),
    )


def _place(finding: Finding) -> tuple[str, str]:
    """``rss.fetch_items:status`` -> ``rss.fetch_items``, ``status``."""
    table, _, column = str(finding["where"]).partition(":")
    return table, column


def _pages(findings: list[Finding]) -> dict[tuple[str, str], str]:
    """(table, key) -> the page of the row, for the rows that the target has now."""
    keys: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        if finding["key"]:
            keys[_place(finding)[0]].add(finding["key"])
    targets = {_name(model): model for model in (m.target_model() for m in legacy_models())}
    found: dict[tuple[str, str], str] = {}
    for table in keys.keys() & targets.keys():
        found |= {(table, key): page for key, page in _rows(targets[table], keys[table])}
    return found


def _name(model: type[models.Model]) -> str:
    return "{}.{}".format(*split_table(model._meta.db_table))


def _rows(model: type[models.Model], keys: set[str]) -> list[tuple[str, str]]:
    """Key and page of each of these rows that is there."""
    wanted = {pk: key for key in keys if (pk := _pk(model, key)) is not None}
    there = model._default_manager.filter(pk__in=wanted).values_list("pk", flat=True)
    place = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return [(wanted[pk], reverse(place, args=[quote(pk)])) for pk in there]
    except NoReverseMatch:
        return []


def _pk(model: type[models.Model], key: str) -> Any:
    """The key of a row, None for what is no key of this table, or was spelled out for people."""
    if isinstance(model._meta.pk, models.IntegerField):
        return whole_key(key)
    is_as_stored = isinstance(model._meta.pk, models.TextField) and "\\" not in key
    return key if is_as_stored and not key.endswith("…") else None
