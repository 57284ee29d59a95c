"""How long the server takes for every kind of list page of the admin, on one large table.

    python benchmarks/console_speed.py --rows 10000000 [--json FILE]

Fills `knowledge_items` in a scratch database on the configured server, asks each page `--repeat`
times through Django's test client (URL to finished HTML, no network), and drops the database.
Printed: p50 and p95 in milliseconds per page, against the limit of 300.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
os.environ["ALLOWED_HOSTS"] = "testserver"
os.environ["DEBUG"] = "False"

import django  # noqa: E402

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from stillme.transfer.steps.rehearse import scratch_database  # noqa: E402

LIMIT = 300
FILL = """
INSERT INTO knowledge.knowledge_items (content, source, knowledge_type, retention_score, created_at)
SELECT 'content number ' || n || repeat(' of a text that somebody once learned', 9),
    CASE WHEN n %% 9973 = 0 THEN 'rare' ELSE 'rss' END,
    (ARRAY['general', 'fact', 'paper'])[1 + n %% 3], (n * 7919 %% 1000) / 1000.0,
    timestamptz '2020-01-01' + n * (interval '5 years' / %s)
FROM generate_series(%s::bigint, %s::bigint) n
"""
LIST = "/admin/knowledge/knowledgeitem/"
PAGES = {
    "first page": "",
    "page 2 by number": "?p=2",
    "last page by number": "?p=200",
    "in the middle, by key": "?before={middle}",
    "at the end, by key": "?before=60",
    "search: a frequent word": "?q=learned",
    "search: a word that is nowhere": "?q=zzz",
    "search: a key": "?q=77",
    "search in the middle": "?q=zzz&before={middle}",
    "filter: a frequent value": "?knowledge_type=fact",
    "filter: a rare value": "?source=rare",
    "filter and search": "?knowledge_type=fact&q=number+7",
    "order by another column": "?o=5",
    "a year": "?created_at__year=2022",
    "a month": "?created_at__year=2022&created_at__month=3",
    "a day": "?created_at__year=2022&created_at__month=3&created_at__day=4",
    "a month and a filter": "?created_at__year=2022&created_at__month=3&knowledge_type=fact",
    "one row": "{middle}/change/",
}


def fill(rows: int) -> None:
    """Rows of about 400 bytes, a million at a time."""
    with connection.cursor() as cursor:
        for start in range(1, rows + 1, 1_000_000):
            cursor.execute(FILL, [rows, start, min(rows, start + 999_999)])
        cursor.execute("VACUUM ANALYZE knowledge.knowledge_items")


def measure(rows: int, repeat: int) -> dict[str, tuple[float, float]]:
    """Page -> p50, p95 in milliseconds."""
    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    found = {}
    for name, query in PAGES.items():
        address = LIST + query.format(middle=rows // 2)
        taken = []
        for _ in range(repeat):
            began = time.perf_counter()
            answer = client.get(address)
            taken.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200:
                raise SystemExit(f"{address} answered {answer.status_code}.")
        taken.sort()
        found[name] = (taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.95))])
    return found


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    def work() -> None:
        fill(given.rows)
        found = measure(given.rows, given.repeat)
        print(f"{given.rows:,} rows, each page {given.repeat} times\n")
        print("| page | p50 | p95 | |\n|---|---|---|---|")
        for name, (p50, p95) in found.items():
            verdict = "" if p95 < LIMIT else f"over {LIMIT} ms"
            print(f"| {name} | {p50:.0f} ms | {p95:.0f} ms | {verdict} |")
        if given.json:
            given.json.write_text(json.dumps({"rows": given.rows, "pages": found}, indent=1))

    with scratch_database(f"stillme_console_speed_{os.getpid()}"):
        call_command("migrate", verbosity=0)
        work()


if __name__ == "__main__":
    main()
