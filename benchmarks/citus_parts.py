"""What the application does on the cluster of cluster_life.py: each part in a process of its own.

    DATABASE_URL=... python benchmarks/citus_parts.py load 15

Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import stillme


def samples(directory: str, rows: str) -> str:
    """Make legacy files."""
    from stillme.demo.samples import make_samples

    Path(directory).mkdir()
    return str(make_samples(Path(directory), rows=int(rows)).directory)


def load(seconds: str) -> dict[str, int]:
    """Eight threads that write; what was acknowledged against what the tables hold."""
    from accuracy.services import AccuracyScorer
    from knowledge.models import KnowledgeItem
    from knowledge.services import KnowledgeRetention

    made, failed = [0] * 8, [0] * 8
    before = KnowledgeItem.objects.count()
    until = time.monotonic() + float(seconds)

    def work(number: int) -> None:
        retention, scorer = KnowledgeRetention(), AccuracyScorer()
        while time.monotonic() < until:
            if retention.add_knowledge(f"thread {number}", "load") > 0:
                made[number] += 1
            else:
                failed[number] += 1
            scorer.score_response("question", "answer")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost = sum(made) - (KnowledgeItem.objects.count() - before)
    return {"made": sum(made), "failed": sum(failed), "lost": lost}


def pages() -> dict[str, Any]:
    """Every list, and one row of each, as an administrator."""
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    user, _ = User.objects.get_or_create(username="root", is_superuser=True, is_staff=True)
    client = Client(HTTP_HOST="localhost")
    client.force_login(user)
    addresses = ["/admin/", "/admin/glance/"]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses.append(reverse(f"{name}_changelist"))
        if (row := model._default_manager.first()) is not None:
            addresses.append(reverse(f"{name}_change", args=[row.pk]))
    bad = [each for each in addresses if client.get(each).status_code not in (200, 302, 403)]
    return {"pages": len(addresses), "bad": bad}


def ready() -> dict[str, Any]:
    """What /readyz answers."""
    from django.test import Client

    answer = Client(HTTP_HOST="localhost").get("/readyz")
    return {"status": answer.status_code, "problems": answer.json()["problems"]}


def pages_of_all_tables() -> dict[str, int]:
    """How the pages answer that look at every table."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.get(username="root"))
    pages = ("/admin/transfer/dashboard/", "/admin/search/?q=a", "/admin/glance/")
    return {page: client.get(page).status_code for page in pages}


def recall() -> dict[str, float]:
    """Of 20,000 random vectors of 64 dimensions, how many of the ten nearest are found."""
    import numpy

    from vector import services

    random = numpy.random.default_rng(7)
    vectors = random.normal(size=(20_000, 64)).astype("f4")
    collection = services.create_collection("recall", metric="l2")
    for first in range(0, len(vectors), 2_000):
        ids = [str(number) for number in range(first, first + 2_000)]
        services.add(collection, ids, vectors[first : first + 2_000].tolist())
    services.build_index(collection)
    found = 0
    for asked in random.normal(size=(100, 64)).astype("f4"):
        nearest = numpy.argsort(((vectors - asked) ** 2).sum(1))[:10]
        answer = {int(record.id) for record in services.query(collection, asked.tolist(), 10)}
        found += len(answer & set(nearest.tolist()))
    services.delete_collection("recall")
    return {"recall": found / 1000}


PARTS: dict[str, Callable[..., Any]] = {
    part.__name__: part for part in (samples, load, pages, ready, pages_of_all_tables, recall)
}


if __name__ == "__main__":
    stillme.setup()
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
