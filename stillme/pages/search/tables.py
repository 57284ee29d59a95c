"""The tables that are searched, and the index that each may have.

No model declares these indexes: `manage.py search_index` makes and drops them, when and where the
search is worth their size. Their names end with a digest of what they hold, so that one which was
made for other columns is not taken for the right one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db import connections, models
from django.http import HttpRequest

from stillme.pages.search.words import document_sql
from stillme.pages.target_admin import TargetAdmin
from stillme.postgresql.names import quote
from stillme.postgresql.statements import fetch_all

PREFIX = "search_"
_VALID = """
SELECT c.relname, pg_relation_size(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(%s) AND i.indisvalid AND c.relname LIKE 'search\\_%%'
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A model's columns of text."""

    model: type[models.Model]
    columns: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name of its list."""
        return str(self.model._meta.verbose_name_plural)

    @property
    def name(self) -> str:
        """As in SQL."""
        name = self.model._meta.db_table
        return name if name.startswith('"') else quote(name)

    @property
    def plain_name(self) -> str:
        """``knowledge.knowledge_items``."""
        return self.model._meta.db_table.replace('"', "")

    @property
    def document(self) -> str:
        """What is searched, as an expression."""
        return document_sql(self.quoted)

    @property
    def quoted(self) -> list[str]:
        """The columns in SQL."""
        fields = {f.attname: f for f in self.model._meta.concrete_fields}
        return [quote(str(fields[name].column)) for name in self.columns]

    @property
    def index(self) -> str:
        """The name of its index."""
        digest = hashlib.sha256(self.document.encode()).hexdigest()[:8]
        table = self.plain_name.rpartition(".")[2]
        return f"{PREFIX}{table[:40]}_{digest}"

    def indexes(self, alias: str) -> dict[str, int]:
        """The search indexes that the table has, by name, with their bytes."""
        return dict(fetch_all(connections[alias], _VALID, [self.name]))


def tables() -> list[Table]:
    """Every table with a page of its own and a column of text, in the order of the sidebar."""
    sites = [site for site in admin.site._registry.values() if isinstance(site, TargetAdmin)]
    found = [Table(site.model, tuple(_texts(site.model))) for site in sites]
    return [table for table in found if table.columns]


def seen_tables(request: HttpRequest) -> list[Table]:
    """Those whose rows the reader may look at."""
    return [t for t in tables() if _site(t).has_view_permission(request)]


def _site(table: Table) -> Any:
    return admin.site.get_model_admin(table.model)


def _texts(model: type[models.Model]) -> Iterable[str]:
    kinds = (models.TextField, models.CharField)
    fields = model._meta.concrete_fields
    return (f.attname for f in fields if isinstance(f, kinds) and not f.choices)
