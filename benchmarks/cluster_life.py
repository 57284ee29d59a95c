"""The whole life on a real Citus cluster: from the legacy files to a schema moved under load.

    python benchmarks/cluster_life.py --bin DIR [--libraries DIR] [--rows 2000] [--into FILE]

DIR is the `bin` folder of a PostgreSQL into which Citus and pgvector are installed (Citus builds
against the embedded server's own headers: `./configure PG_CONFIG=...; make install` in its source).
Starts a coordinator, three workers and a spare one on ports of the loopback, in a temporary folder,
and takes them down again. The application's role is no superuser. Prints a Markdown table: what was
done, what came out. Ends 1 where a step did not do what it should.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stillme.postgresql.embedded.accounts import server_account  # noqa: E402

FIRST_PORT = 9750
WORKERS = 3
DOMAINS = ("knowledge", "continuum", "rss", "accuracy", "vector")
SETTINGS = """
listen_addresses = '127.0.0.1'
shared_preload_libraries = 'citus'
wal_level = logical
max_prepared_transactions = 200
max_worker_processes = 32
"""


class Cluster:
    """A coordinator (node 0), workers, and a spare node that is not added yet."""

    def __init__(self, folder: Path, programs: Path, libraries: str) -> None:
        self.folder, self._programs = folder, programs
        self._as = server_account().for_subprocess()
        self._environment = {**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
        shutil.chown(folder, self._as.get("user", os.geteuid()))
        self.nodes = range(WORKERS + 2)

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's programs, as the server's user."""
        command = [str(self._programs / program), *arguments]
        # A server that it starts would keep a pipe open.
        with (self.folder / "programs.log").open("a") as log:
            subprocess.run(
                command, check=True, env=self._environment, stdout=log, stderr=log, **self._as
            )

    def create(self) -> None:
        """Start all nodes."""
        for node in self.nodes:
            data = self.folder / f"node{node}"
            self.run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8")
            with (data / "postgresql.conf").open("a") as conf:
                conf.write(f"{SETTINGS}port = {FIRST_PORT + node}\n")
                conf.write(f"unix_socket_directories = '{self.folder}'\n")
            self.start(node)
            self.sql(node, "postgres", "CREATE ROLE stillme LOGIN")

    def start(self, node: int) -> None:
        """Start one node."""
        data, log = self.folder / f"node{node}", self.folder / f"node{node}.log"
        self.run("pg_ctl", "-D", str(data), "-l", str(log), "-w", "start")

    def stop(self, node: int) -> None:
        """As if it were killed."""
        self.run("pg_ctl", "-D", str(self.folder / f"node{node}"), "-m", "immediate", "stop")

    def sql(self, node: int, database: str, *statements: str) -> list[Any]:
        """Run statements as the superuser; the rows of the last one."""
        port = FIRST_PORT + node
        with psycopg.connect(
            host="127.0.0.1", port=port, user="postgres", dbname=database, autocommit=True
        ) as session:
            for statement in statements:
                cursor = session.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self, name: str, *, workers: int = WORKERS) -> str:
        """A database on every node, joined to a cluster; its address for the application."""
        for node in self.nodes:
            self.sql(node, "postgres", f"CREATE DATABASE {name} OWNER stillme")
            self.sql(node, name, "CREATE EXTENSION citus", "CREATE EXTENSION vector")
        if workers:
            self.sql(0, name, f"SELECT citus_set_coordinator_host('127.0.0.1', {FIRST_PORT})")
        for node in range(1, workers + 1):
            self.add(name, node)
        return f"postgresql://stillme@127.0.0.1:{FIRST_PORT}/{name}"

    def add(self, name: str, node: int) -> None:
        """Take a node into the cluster."""
        self.sql(0, name, f"SELECT citus_add_node('127.0.0.1', {FIRST_PORT + node})")


class Life:
    """The steps, each with what it printed; `failed` where one did not do what it should."""

    def __init__(self, cluster: Cluster, rows: int) -> None:
        self.cluster, self.rows = cluster, rows
        self.lines: list[tuple[str, str]] = []
        self.failed = False

    def note(self, what: str, came_out: str, held: bool = True) -> None:
        """One line of the table."""
        self.failed |= not held
        self.lines.append((what, came_out if held else f"**FAILED** {came_out}"))
        print(f"| {what} | {self.lines[-1][1]} |", flush=True)

    def manage(self, *arguments: str, status: int = 0, shown: str = "") -> str:
        """A command of manage.py; its line that matches `shown`, or its last one, is noted."""
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        printed = (done.stdout + done.stderr).strip().splitlines()
        fitting = [line for line in printed if re.search(shown, line)] if shown else printed[-1:]
        seconds = time.perf_counter() - begun
        held = done.returncode == status and (bool(fitting) or not shown)
        said = (fitting or printed[-1:] or [""])[-1].strip()
        self.note(f"`{' '.join(arguments[:3])}`", f"{said} ({seconds:.1f} s)", held)
        return done.stdout

    def part(self, name: str, *arguments: str) -> Any:
        """A part of this file in a process of its own, on the database; its JSON."""
        done = subprocess.run(
            [sys.executable, __file__, "--part", name, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def on(self, database: str, legacy: Path) -> None:
        """Commands and parts are about this database and these files from now on."""
        self.environment = {
            **os.environ,
            "DATABASE_URL": database,
            "LEGACY_DATA_DIR": str(legacy),
            "PYTHONWARNINGS": "ignore",
        }

    def whole(self) -> None:
        """All of it."""
        versions = self.cluster.sql(0, "postgres", "SHOW server_version")
        self.note("PostgreSQL", str(versions[0][0]))
        legacy = self.cluster.folder / "legacy"
        self.on(self.cluster.database("life"), legacy)
        (citus,) = self.cluster.sql(
            0, "life", "SELECT extversion FROM pg_extension WHERE extname = 'citus'"
        )[0]
        self.note("Citus", str(citus))
        self.part("samples", str(legacy), str(self.rows))
        self.until_distributed()
        self.on_the_cluster()
        self.node_dies()
        self.schema_moves()
        self.recall()
        self.dump_and_load()
        self.import_into_cluster()

    def until_distributed(self) -> None:
        """From the files to tables on the workers, nothing done by hand."""
        self.manage("migrate")
        self.manage("import_sqlite", shown="accounted for")
        for reason in ("missing_parent", "nul_in_text"):
            self.manage("quarantine", "accept", "--reason", reason, "--note", "left out on purpose")
        self.manage("verify_migration", shown="^PROVEN")
        self.manage("sync_sqlite", "--install", shown="accuracy +healthy")
        backup = self.cluster.folder / "backup"
        self.manage("cutover", "--stopped", "--backup", str(backup), shown="^Live on PostgreSQL")
        self.manage("cutover", "--finish", "--yes", shown="^Finished")
        self.manage("distribute", "--dry-run", shown="is to be distributed")
        self.manage("distribute", shown="as many rows as before")
        self.manage("migration_status", shown="finished")

    def on_the_cluster(self) -> None:
        """Services under load, and all pages."""
        load = self.part("load", "15")
        held = load["failed"] == 0 and load["lost"] == 0 and load["made"] > 0
        told = "{made:,} writes in 15 s from 8 threads, {failed} failed, {lost} lost"
        self.note("services", told.format(**load), held)
        pages = self.part("pages")
        self.note(
            "admin", f"{pages['pages']} pages, not answered: {pages['bad']}", not pages["bad"]
        )

    def node_dies(self) -> None:
        """A worker is killed, and comes back."""
        victim = 1
        self.cluster.stop(victim)
        ready = self.part("ready")
        self.note("a worker killed: /readyz", f"{ready}", ready["status"] == 503)
        self.cluster.start(victim)
        ready = self.part("ready")
        self.note("the worker is back: /readyz", f"{ready['status']}", ready["status"] == 200)

    def schema_moves(self) -> None:
        """A node is added, and a schema moves to it while the application writes."""
        spare = WORKERS + 1
        self.cluster.add("life", spare)
        move = f"SELECT citus_schema_move('knowledge', '127.0.0.1', {FIRST_PORT + spare})"
        begun: list[float] = []

        def later() -> None:
            time.sleep(5)
            begun.append(time.perf_counter())
            self.cluster.sql(0, "life", move)
            begun.append(time.perf_counter())

        mover = threading.Thread(target=later)
        mover.start()
        load = self.part("load", "15")
        mover.join()
        told = f"{begun[1] - begun[0]:.1f} s; {load['made']:,} writes meanwhile, "
        told += f"{load['failed']} failed, {load['lost']} lost"
        self.note("a node added, a schema moved to it", told, not load["failed"] + load["lost"])

    def recall(self) -> None:
        """The same vectors on the cluster and on one node."""
        found = self.part("recall")
        environment = self.environment
        self.on(self.cluster.database("alone", workers=0), self.cluster.folder / "none")
        self.manage("migrate")
        alone = self.part("recall")
        self.environment = environment
        near = abs(found["recall"] - alone["recall"]) <= 0.01
        self.note("recall@10", f"{found['recall']:.3f}; on one node {alone['recall']:.3f}", near)

    def dump_and_load(self) -> None:
        """Every app's migrations back and forward, its rows out and in again."""
        for app in DOMAINS:
            saved = str(self.cluster.folder / f"{app}.json.gz")
            self.manage("dumpdata", app, "-o", saved)
            self.manage("migrate", app, "zero", shown="OK")
            self.manage("migrate", app, shown="OK")
            self.manage("loaddata", saved, shown="Installed")
        load = self.part("load", "3")
        self.note(
            "writes after that", f"{load['made']:,}, {load['failed']} failed", not load["failed"]
        )

    def import_into_cluster(self) -> None:
        """Files into a target that is distributed already; proof in full and by round trip."""
        legacy = self.cluster.folder / "legacy2"
        self.on(self.cluster.database("direct"), legacy)
        self.part("samples", str(legacy), str(self.rows))
        self.manage("migrate")
        self.manage("distribute", shown="as many rows as before")
        self.manage("import_sqlite", shown="accounted for")
        for reason in ("missing_parent", "nul_in_text"):
            self.manage("quarantine", "accept", "--reason", reason, "--note", "left out on purpose")
        self.manage("verify_migration", shown="^PROVEN")
        self.manage("verify_migration", "--round-trip", shown="^PROVEN")
        self.manage("cutover", "--dry-run", status=1, shown="no-go cluster")
        self.manage("sync_sqlite", "--install", status=2, shown="does not work once tables")
        self.manage("import_sqlite", "--prune", status=2, shown="does not work once tables")


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
    part.__name__: part for part in (samples, load, pages, ready, recall)
}


def main() -> int:
    """Parse; the whole life, or one part of it on the database of the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path)
    parser.add_argument("--libraries", default="", help="for LD_LIBRARY_PATH of the server")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--into", type=Path, help="a Markdown file for the table")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        import stillme

        stillme.setup()
        name, *arguments = options.part
        print(json.dumps(PARTS[name](*arguments)))
        return 0
    if options.bin is None or not (options.bin / "initdb").exists():
        parser.error("--bin names no folder with PostgreSQL's programs, Citus installed into it.")
    with tempfile.TemporaryDirectory(prefix="stillme-cluster-") as made:
        Path(made).chmod(0o755)
        cluster = Cluster(Path(made), options.bin, options.libraries)
        life = Life(cluster, options.rows)
        cluster.create()
        try:
            life.whole()
        finally:
            for node in cluster.nodes:
                cluster.stop(node)
    if options.into:
        rows = "".join(f"| {what} | {came_out} |\n" for what, came_out in life.lines)
        options.into.write_text(f"| step | what came out |\n|---|---|\n{rows}")
    return int(life.failed)


if __name__ == "__main__":
    sys.exit(main())
