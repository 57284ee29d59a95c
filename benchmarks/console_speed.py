"""How long the server takes for every kind of list page of the admin, on one large table.

    python benchmarks/console_speed.py --rows 10000000 --table rss.FetchItem [--repeat 100]

Fills the table of a model (`--table`, may be given several times; `all` is every one) in a scratch
database on the configured server, asks each page that its admin offers (filters with their counts,
ranges, the table's charts, and the search over all tables, too) through Django's test client
(URL to finished HTML, no network), and drops the database. p50 and p95 in milliseconds go to
`benchmarks/console_speed.json` and `.md`, beside what was measured of other tables (`--into`), and
the processor time that Python and the server's process took for a page on average: that says
something even while the machine does other work, unless parallel workers of the server took part.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
os.environ["ALLOWED_HOSTS"] = "testserver"
os.environ["DEBUG"] = "False"

import django  # noqa: E402

django.setup()

from django.apps import apps  # noqa: E402
from django.contrib import admin  # noqa: E402
from django.contrib.admin.utils import quote  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.test import Client, RequestFactory  # noqa: E402
from django.urls import resolve, reverse  # noqa: E402

from stillme.pages.glance.charts import all_charts  # noqa: E402
from stillme.pages.lists.ranges import RangeFilter, ranges_of  # noqa: E402
from stillme.pages.target_admin import TargetAdmin  # noqa: E402
from stillme.transfer.postgresql.scratch_database import scratch_database  # noqa: E402

LIMIT = 300
CHUNK = 1_000_000
PARENTS = 1_000
Model = type[models.Model]
# The columns of a table that have an index besides the key's, with their definitions.
INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = to_regclass(%s) AND NOT indisunique
"""


def large_tables() -> list[Model]:
    """Every model whose list is made for many rows."""
    found = [m for m, page in admin.site._registry.items() if isinstance(page, TargetAdmin)]
    return sorted(found, key=lambda model: model._meta.label)


def expression(model: Model, field: models.Field[Any, Any], rows: int) -> str:
    """What row number n has in a column: SQL, of about what StillMe writes."""
    if field.is_relation:
        return f"1 + n % {PARENTS}"
    if field.primary_key:
        return "n" if isinstance(field, models.IntegerField) else "'item ' || lpad(n::text, 9, '0')"
    if isinstance(field, models.DateTimeField):
        return f"timestamptz '2020-01-01' + n * (interval '5 years' / {rows})"
    if isinstance(field, models.FloatField):
        return "(n * 7919 % 1000) / 1000.0"
    if isinstance(field, models.IntegerField):
        return "n % 1000"
    if isinstance(field, models.JSONField):
        return "NULL" if field.null else "'{}'"
    if isinstance(field, models.UUIDField):
        return "gen_random_uuid()"
    return _text(model, field) if isinstance(field, models.TextField) else _numbers()


def _numbers() -> str:
    return "ARRAY[n % 7, 1, 2, 3, 4, 5, 6, 7]::real[]"


def _text(model: Model, field: models.Field[Any, Any]) -> str:
    words = [str(word) for word, _ in field.choices or ()] or ["general", "fact", "paper"]
    filters = getattr(admin.site._registry[model], "list_filter", ())
    filtered = [f if isinstance(f, str) else f[0] for f in filters]
    listed = ", ".join(f"'{word}'" for word in words)
    common = f"(ARRAY[{listed}])[1 + n % {len(words)}]"
    if field.choices:
        return common
    if field.name in filtered:
        return f"CASE WHEN n % 9973 = 0 THEN 'rare' ELSE {common} END"
    if field.name.endswith("_id") or field.name == "name":
        return f"'{field.name} ' || n"
    long = field.name in ("content", "content_learned", "question", "actual_answer", "document")
    return f"'text number ' || n || repeat(' of what somebody once learned', {9 if long else 1})"


def fill(model: Model, rows: int) -> None:
    """Rows a million at a time, their indexes afterwards; parents of theirs before."""
    for field in model._meta.concrete_fields:
        parent: Any = field.related_model
        if field.is_relation and not parent._default_manager.exists():
            fill(parent, PARENTS)
    table = model._meta.db_table
    fields = list(model._meta.concrete_fields)
    names = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(expression(model, field, rows) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(INDEXES, [table])
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '1GB'")
        for start in range(1, rows + 1, CHUNK):
            last = min(rows, start + CHUNK - 1)
            series = f"generate_series({start}::bigint, {last}::bigint) n"
            cursor.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {series}")
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("SET session_replication_role = origin")
        cursor.execute(f"VACUUM ANALYZE {table}")


def pages(model: Model, rows: int) -> Iterator[tuple[str, str]]:
    """Every kind of page: its name and address."""
    site: Any = admin.site._registry[model]
    place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    address = reverse(f"{place}_changelist")
    at = rows // 2
    text_keys = not isinstance(model._meta.pk, models.IntegerField)
    key = f"item {at:09}" if text_keys else str(at)
    end = f"item {60:09}" if text_keys else "60"
    yield "first page", address
    yield "page 2 by number", f"{address}?p=2"
    yield "last page by number", f"{address}?p=200"
    yield "in the middle, by key", f"{address}?before={key}"
    yield "at the end, by key", f"{address}?before={end}"
    for word, query in (
        ("a frequent word", "e"),
        ("a word that is nowhere", "zzz"),
        ("a key", key),
    ):
        yield f"search: {word}", f"{address}?q={query}"
    yield "search in the middle", f"{address}?q=zzz&before={key}"
    request = RequestFactory().get(address)
    request.user, request.resolver_match = User.objects.get(username="bench"), resolve(address)
    cl = site.get_changelist_instance(request)
    chosen = ""
    for spec in (s for s in cl.filter_specs if not isinstance(s, RangeFilter)):
        for choice in [c for c in spec.choices(cl) if not c["selected"]][:4]:
            chosen = choice["query_string"]
            yield f"filter: {spec.title} {choice['display']}", address + chosen
    if chosen:
        yield "filter and search", f"{address}{chosen}&q=number+7"
    for name, _ in ranges_of(site):
        ends = "2022-03-04", "2022-03-09"
        if not isinstance(model._meta.get_field(name), models.DateTimeField):
            ends = "0", "1"
        last = "lt" if ends[0] != "0" else "lte"
        yield f"range of {name}", f"{address}?{name}__gte={ends[0]}&{name}__{last}={ends[1]}"
    # With an index made before (`search_index --create`) or without.
    for words in ("learned", "zzz", "number 7"):
        yield f"all tables: {words}", f"{reverse('search')}?q={words.replace(' ', '+')}"
    for chart in all_charts().values():
        if chart.model is model:
            where = reverse("glance-chart", args=[model._meta.app_label, chart.name])
            yield f"chart: {chart.title}", where
    yield "order by another column", f"{address}?o=3"
    if site.date_hierarchy:
        yield from _dates(address, site.date_hierarchy, chosen)
    yield "one row", reverse(f"{place}_change", args=[quote(key)])


def _dates(address: str, name: str, chosen: str) -> Iterator[tuple[str, str]]:
    year = f"{address}?{name}__year=2022"
    month = f"{year}&{name}__month=3"
    yield "a year", year
    yield "a month", month
    yield "a day", f"{month}&{name}__day=4"
    if chosen:
        yield "a month and a filter", f"{month}&{chosen[1:]}"


def processor_time() -> float:
    """Milliseconds that this process and the server's process of its connection have used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = Path(f"/proc/{cursor.fetchone()[0]}/stat")
    # A server elsewhere has no process here: then it is Python's time alone.
    ticks = server.read_text().rpartition(")")[2].split()[11:13] if server.exists() else []
    theirs = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return (time.process_time() + theirs) * 1000


def measure(model: Model, rows: int, repeat: int) -> dict[str, list[float]]:
    """Page -> p50, p95 in milliseconds, and the processor time of one."""
    client = Client()
    person = {"is_staff": True, "is_superuser": True}
    client.force_login(User.objects.get_or_create(username="bench", defaults=person)[0])
    found = {}
    for name, address in list(pages(model, rows)):
        taken = []
        used = processor_time()
        for _ in range(repeat):
            began = time.perf_counter()
            answer = client.get(address)
            taken.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200:
                raise SystemExit(f"{address} answered {answer.status_code}.")
        used = (processor_time() - used) / repeat
        taken.sort()
        at = min(len(taken) - 1, int(len(taken) * 0.95))
        found[name] = [round(ms, 1) for ms in (taken[len(taken) // 2], taken[at], used)]
    return found


def markdown(tables: dict[str, Any]) -> str:
    """A table of pages for each model."""
    lines = ["# The admin's lists: milliseconds on the server", ""]
    for label, found in sorted(tables.items()):
        heading = f"{found['rows']:,} rows, each page {found['repeat']} times, {found['date']}"
        heading += f"; {remark}" if (remark := found.get("note")) else ""
        lines += [f"## {label}", "", heading, "", "| page | p50 | p95 | processor | |"]
        lines.append("|---|---|---|---|---|")
        for name, (p50, p95, *used) in found["pages"].items():
            verdict = "" if p95 < LIMIT else f"over {LIMIT}"
            processor = f"{used[0]:.0f}" if used else ""
            lines.append(f"| {name} | {p50:.0f} | {p95:.0f} | {processor} | {verdict} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Fill, ask, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--table", action="append", default=[], help="a model; `all` for all")
    parser.add_argument("--into", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--here", action="store_true", help="in the configured database itself")
    parser.add_argument("--index", action="store_true", help="with the search's index of the table")
    parser.add_argument("--fill-only", action="store_true", help="with --here: ask nothing yet")
    parser.add_argument("--note", default="", help="what else is to be known of this run")
    given = parser.parse_args()
    labels = given.table or ["knowledge.KnowledgeItem"]
    wanted = large_tables() if "all" in labels else [apps.get_model(name) for name in labels]
    scratch = scratch_database("default")
    with nullcontext() if given.here else scratch:
        call_command("migrate", verbosity=0)
        for model in wanted:
            began = time.perf_counter()
            if model._default_manager.order_by("-pk")[PARENTS:].first() is None:
                model._default_manager.all().delete()
                fill(model, given.rows)
            print(f"{model._meta.label}: filled in {time.perf_counter() - began:.0f} s", flush=True)
            if given.index:
                name = model._meta.db_table.replace('"', "")
                call_command("search_index", "--create", name)
            if not given.fill_only:
                note(given.into, model, given.rows, given.repeat, given.note)


def note(into: Path, model: Model, rows: int, repeat: int, remark: str) -> None:
    """Measure one table and write it beside the others."""
    tables = json.loads(into.read_text()) if into.exists() else {}
    found = measure(model, rows, repeat)
    today = datetime.now(UTC).date().isoformat()
    one = {"rows": rows, "repeat": repeat, "date": today, "note": remark, "pages": found}
    tables[model._meta.label] = one
    into.write_text(json.dumps(tables, indent=1) + "\n")
    into.with_suffix(".md").write_text(markdown(tables))
    print(markdown({model._meta.label: one}), flush=True)


if __name__ == "__main__":
    main()
