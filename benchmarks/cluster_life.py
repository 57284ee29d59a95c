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
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.citus_cluster import FIRST_PORT, WORKERS, Cluster  # noqa: E402

TITLE = "The whole life on a Citus cluster"
DOMAINS = ("knowledge", "continuum", "rss", "accuracy", "vector")


class Life:
    """The steps, each with what it printed; `failed` where one did not do what it should."""

    def __init__(self, cluster: Cluster, rows: int) -> None:
        self.cluster, self.rows = cluster, rows
        self.lines: list[tuple[str, str]] = []
        self.failed = False

    def note(self, what: str, came_out: str, held: bool = True) -> None:
        """One line of the table."""
        self.failed |= not held
        what, came_out = (
            each.replace(str(self.cluster.folder), "DIR") for each in (what, came_out)
        )
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
        """A part of citus_parts.py in a process of its own, on the database; its JSON."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / "citus_parts.py"), name, *arguments],
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
        self.changed_on_a_node()
        self.spread_by_rows()

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
        self.manage("distribute", shown="the same rows as before")
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
        away = self.part("pages_of_all_tables")
        held = set(away.values()) == {200}
        self.note("dashboard, search, charts meanwhile", f"{away}", held)
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
        self.manage("distribute", shown="the same rows as before")
        self.manage("import_sqlite", shown="accounted for")
        for reason in ("missing_parent", "nul_in_text"):
            self.manage("quarantine", "accept", "--reason", reason, "--note", "left out on purpose")
        self.manage("verify_migration", shown="^PROVEN")
        self.manage("verify_migration", "--round-trip", shown="^PROVEN")
        self.manage("cutover", "--dry-run", status=1, shown="no-go cluster")
        self.manage("sync_sqlite", "--install", status=2, shown="does not work once tables")
        self.manage("import_sqlite", "--prune", status=2, shown="does not work once tables")

    def changed_on_a_node(self) -> None:
        """What somebody changes in a shard is found by the verification."""
        sessions, cycles = "knowledge.learning_sessions", "rss.fetch_cycles"
        key = "ALTER TABLE {0} DROP CONSTRAINT learning_sessions_pkey_{1}"
        self.plant("constraint PRIMARY KEY", sessions, key)
        self.plant(
            "trigger spoil",
            "knowledge.knowledge_items",
            "CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE TRIGGER spoil BEFORE INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION spoil()",
        )
        ready = "UPDATE pg_index SET indisready = {2} WHERE indexrelid = "
        ready += "'rss.fetch_cycles_pkey_{1}'::regclass"
        self.plant(
            "by the index fetch_cycles_pkey in the shard",
            cycles,
            ready.replace("{2}", "false"),
            "INSERT INTO {0} (id, cycle_number, started_at, status) VALUES (10000, 1, now(), 's')",
            ready.replace("{2}", "true"),
        )

    def spread_by_rows(self) -> None:
        """Tables spread by rows, and one that every node has a copy of."""
        self.on(self.cluster.database("spread"), self.cluster.folder / "legacy2")
        self.manage("migrate")
        tables = ("accuracy.accuracy_scores", "knowledge.learning_sessions")
        self.manage("distribute", "--rows", *tables, shown="the same rows as before")
        self.cluster.sql(0, "spread", "SELECT create_reference_table('continuum.tier_metrics')")
        self.manage("distribute", shown="the same rows as before")
        self.manage("import_sqlite", shown="accounted for")
        for reason in ("missing_parent", "nul_in_text"):
            self.manage("quarantine", "accept", "--reason", reason, "--note", "left out on purpose")
        self.manage("verify_migration", shown="^PROVEN")
        tier = "continuum.tier_metrics"
        self.plant("in each copy of a shard", tier, "DELETE FROM {0} WHERE tier = 'L1'")
        self.plant("belong in other shards", tables[0], "UPDATE {0} SET id = id + 1000000000")

    def plant(self, words: str, table: str, *statements: str) -> None:
        """Statements on a node, past the coordinator, about a shard of a table: {0} its name, {1}
        its number. The verification finds it, in these words."""
        database = self.environment["DATABASE_URL"].rpartition("/")[2]
        asked = (
            "SELECT nodeport, shard_name::text, shardid FROM citus_shards "
            f"WHERE table_name = '{table}'::regclass AND nodeport > {FIRST_PORT} LIMIT 1"
        )
        port, shard, number = self.cluster.sql(0, database, asked)[0]
        past = ("SET citus.enable_ddl_propagation = off", "SET allow_system_table_mods = on")
        said = [each.format(shard, number) for each in statements]
        self.cluster.sql(port - FIRST_PORT, database, *past, *said)
        self.manage("verify_migration", "--max-findings", "1000", status=1, shown=words)


def main() -> int:
    """Parse, and live the whole life; 1 where a step did not do what it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path)
    parser.add_argument("--libraries", default="", help="for LD_LIBRARY_PATH of the server")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--into", type=Path, help="a Markdown file for the table")
    options = parser.parse_args()
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
        head = (
            f"`cluster_life.py --rows {options.rows}`; a coordinator, three workers, a spare node."
        )
        options.into.write_text(
            f"# {TITLE}\n\n{head}\n\n| step | what came out |\n|---|---|\n{rows}"
        )
    return int(life.failed)


if __name__ == "__main__":
    sys.exit(main())
