"""PgBouncer in transaction mode: services in 16 threads over two sessions of the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections

from knowledge.models import KnowledgeItem
from stillme.postgresql.embedded.accounts import server_account
from tests.ops.servers import scratch, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

INI = """
[databases]
{name} = host={host} port={port} user={user} {password} dbname={name}
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
ignore_startup_parameters = options,extra_float_digits
logfile = {folder}/log
pidfile = {folder}/pid
"""

PROGRAM = """
import stillme
stillme.setup()
from concurrent.futures import ThreadPoolExecutor
from django.db import connections, transaction
from knowledge.models import KnowledgeItem
from knowledge.services import KnowledgeRetention
from rss.models import FetchCycle
from rss.services import RSSFetchHistory

retention, history = KnowledgeRetention(), RSSFetchHistory()
cycle = history.create_fetch_cycle(1)

def work(number):
    for turn in range(10):
        assert retention.add_knowledge(f"{number}.{turn}", "s", metadata={"n": turn}) > 0
        history.add_fetch_item(cycle, "t", "f", "l", "s", "Added to RAG")
        assert retention.calculate_retention_metrics()["total_knowledge_items"] > 0
    connections.close_all()

with ThreadPoolExecutor(16) as threads:
    list(threads.map(work, range(16)))
row = FetchCycle.objects.get()
assert row.items_fetched == row.items_added == 160, row.items_fetched
assert len(list(KnowledgeItem.objects.iterator(chunk_size=7))) == 160
with transaction.atomic():
    KnowledgeItem.objects.select_for_update().first()
with connections["default"].cursor() as cursor:
    cursor.execute("SHOW timezone")
    assert cursor.fetchone() == ("UTC",)
print("done")
"""


@pytest.fixture
def bouncer() -> Iterator[str]:
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    database = connections["default"].get_connection_params()
    with scratch() as folder:
        account = server_account()
        os.chown(folder, account.uid, account.gid)
        password = f"password={database['password']}" if database.get("password") else ""
        ini = INI.format(
            name=connections["default"].settings_dict["NAME"],
            host=database["host"],
            port=database.get("port", 5432),
            user=database["user"],
            password=password,
            folder=folder,
        )
        (folder / "ini").write_text(ini, encoding="utf-8")
        process = subprocess.Popen([program, "-q", str(folder / "ini")], **account.for_subprocess())
        name = connections["default"].settings_dict["NAME"]
        url = f"postgresql://anybody@/{name}?host={folder}&port=6432"
        try:
            wait_until(lambda: answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=20).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("pool", ["0", "16"])
def test_services_through_pgbouncer(
    bouncer: str, target_environment: dict[str, str], pool: str
) -> None:
    environment = {
        **target_environment,
        "DATABASE_URL": f"{bouncer}&DISABLE_SERVER_SIDE_CURSORS=True",
        "DB_POOL_MAX_SIZE": pool,
        "STATEMENT_TIMEOUT": "60000",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.stdout.strip() == "done", ended.stderr
    assert "Traceback" not in ended.stderr
    assert KnowledgeItem.objects.count() == 160
