"""For cluster_life.py: a Citus cluster on the loopback, with a spare node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from stillme.postgresql.embedded.accounts import server_account

FIRST_PORT = 9750
WORKERS = 3
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
