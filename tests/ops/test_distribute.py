"""distribute: preflight, order and refusals. Citus itself is stood in for by functions."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from rss.models import FetchCycle
from stillme.ops import distribute as module
from stillme.postgresql import distributed
from stillme.transfer.models import FileState

pytestmark = pytest.mark.django_db

STAND_IN = """
    CREATE TABLE public.moved (name text);
    CREATE VIEW public.citus_schemas AS SELECT name::regnamespace AS schema_name FROM public.moved;
    CREATE TABLE public.pg_dist_node (nodeid int, nodename text, nodeport int, groupid int);
    INSERT INTO public.pg_dist_node VALUES (2, 'w1', 5432, 1), (3, 'w2', 5432, 2);
    CREATE TABLE public.pg_dist_shard (shardid int, logicalrelid regclass);
    INSERT INTO public.pg_dist_shard VALUES (7, 'rss.fetch_items'), (8, 'rss.fetch_cycles');
    CREATE TABLE public.pg_dist_placement (shardid int, groupid int);
    INSERT INTO public.pg_dist_placement VALUES (7, 2), (8, 2);
    CREATE FUNCTION public.run_command_on_workers(command text)
        RETURNS TABLE (nodename text, nodeport int, success bool, result text) LANGUAGE sql
        AS 'SELECT nodename, nodeport, nodeport <> 0, ''1'' FROM public.pg_dist_node';
    CREATE TABLE public.pg_dist_partition (logicalrelid regclass, partmethod "char",
        colocationid int DEFAULT 0);
    CREATE FUNCTION public.create_distributed_table(name regclass, by text) RETURNS void
        LANGUAGE sql AS 'INSERT INTO public.pg_dist_partition VALUES (name, ''h'', 5)';
    CREATE FUNCTION public.citus_schema_distribute(schema regnamespace) RETURNS void
        LANGUAGE sql AS 'INSERT INTO public.moved VALUES (schema::text)';
"""


def execute(sql: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("distribute", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def citus(monkeypatch: pytest.MonkeyPatch) -> None:
    execute(STAND_IN)
    monkeypatch.setattr(module, "EXTENSION", "SELECT '13.2-1'")
    monkeypatch.setattr(distributed, "HAS_CITUS", "SELECT true")
    monkeypatch.setattr(distributed, "TABLES", "SELECT NULL WHERE false")


def test_without_the_extension_one_sentence() -> None:
    with pytest.raises(CommandError, match="no Citus extension") as error:
        run()
    assert error.value.returncode == 2


@pytest.mark.usefixtures("citus")
class TestWithCitus:
    """With the functions that Citus would have."""

    def test_a_dry_run_moves_nothing(self) -> None:
        status, text = run("--dry-run")
        assert status == 0
        assert "Citus 13.2-1 with 2 active workers." in text
        for schema in ("accuracy", "continuum", "knowledge", "rss"):
            assert f"{schema} is to be distributed." in text
        assert "transfer" not in text
        assert execute("SELECT * FROM public.moved") == []

    def test_every_domain_moves_once(self) -> None:
        execute("INSERT INTO public.moved VALUES ('rss')")
        status, text = run("--no-verify")
        assert status == 0, text
        assert "rss is distributed already." in text
        moved = {name for (name,) in execute("SELECT name FROM public.moved")}
        assert moved >= {"accuracy", "continuum", "knowledge", "rss"}
        assert "to be distributed" not in run("--no-verify")[1]

    def test_a_table_by_rows_and_then_the_other_schemas(self) -> None:
        status, text = run("--rows", "accuracy.accuracy_scores", "knowledge.learning_sessions")
        assert status == 0, text
        assert "accuracy.accuracy_scores is to be distributed by the hash of its id." in text
        assert execute("SELECT * FROM public.moved") == []
        assert len(execute("SELECT * FROM public.pg_dist_partition")) == 2
        status, text = run()
        assert status == 0, text
        moved = {name for (name,) in execute("SELECT name FROM public.moved")}
        assert moved == {"continuum", "rss", "vector"}

    def test_a_schema_with_a_table_that_each_node_has_stays(self) -> None:
        """Citus refused it in the middle: 'distributed schema cannot have distributed tables'."""
        execute("INSERT INTO public.pg_dist_partition VALUES ('rss.fetch_cycles', 'n', 6)")
        execute("INSERT INTO public.pg_dist_partition VALUES ('vector.items', 'n')")
        status, text = run()
        assert status == 0, text
        assert "rss has tables distributed one by one; its others stay here." in text
        moved = {name for (name,) in execute("SELECT name FROM public.moved")}
        assert moved == {"accuracy", "continuum", "knowledge", "vector"}

    @pytest.mark.parametrize(
        ("table", "problem"),
        [
            ("rss.fetch_items", "ties rss.fetch_items to a table on one node"),
            ("rss.fetch_cycles", "ties rss.fetch_cycles to a table on one node"),
            ("accuracy.nothing", "is no table of a domain"),
            ("public.auth_user", "is no table of a domain"),
        ],
    )
    def test_a_table_that_cannot_be_distributed_by_rows(self, table: str, problem: str) -> None:
        status, text = run("--rows", table)
        assert (status, problem in " ".join(text.split())) == (1, True), text
        assert execute("SELECT * FROM public.pg_dist_partition") == []

    @pytest.mark.parametrize(
        ("meanwhile", "told"),
        [
            ("DELETE FROM rss.fetch_cycles WHERE id = 2", "2 rows before, 1 now."),
            (
                "UPDATE rss.fetch_cycles SET started_at = started_at + interval '1 microsecond'",
                "2 rows before, 2 now, with other values.",
            ),
        ],
    )
    def test_the_rows_before_and_after_are_compared(
        self, monkeypatch: pytest.MonkeyPatch, meanwhile: str, told: str
    ) -> None:
        for key in (1, 2):
            FetchCycle.objects.create(pk=key, cycle_number=key, started_at=timezone.now())
        status, text = run()
        assert status == 0
        assert "tables hold the same rows as before." in text
        execute("TRUNCATE public.moved")
        module = "stillme.ops.management.commands.distribute.distribute"
        monkeypatch.setattr(module, lambda plan, on_event: execute(meanwhile))
        status, text = run()
        assert (status, f"rss.fetch_cycles: {told}" in text) == (1, True), text

    @pytest.mark.parametrize(
        ("sql", "problem"),
        [
            (
                "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN RETURN NULL; END'; CREATE TRIGGER watch AFTER INSERT ON rss.fetch_items "
                "EXECUTE FUNCTION public.f()",
                "The trigger watch on rss.fetch_items is in the way",
            ),
            (
                "ALTER TABLE rss.fetch_items ADD CONSTRAINT far FOREIGN KEY (cycle_id) "
                "REFERENCES knowledge.knowledge_items (id)",
                "The foreign key far of rss.fetch_items leaves its schema",
            ),
            (
                "INSERT INTO public.moved VALUES ('transfer')",
                "The schema transfer is distributed, and must stay on the coordinator",
            ),
            ("TRUNCATE public.pg_dist_node", "no active worker"),
            (
                "UPDATE public.pg_dist_node SET nodeport = 0 WHERE nodename = 'w2'",
                "with 1 active worker. accuracy is to be distributed. continuum is to be "
                "distributed. knowledge is to be distributed. rss is to be distributed. vector is "
                "to be distributed. The worker w2:0 does not answer",
            ),
        ],
    )
    def test_what_stands_against_it(self, sql: str, problem: str) -> None:
        execute(sql)
        status, text = run("--no-verify")
        assert status == 1
        assert problem in " ".join(text.split())
        assert {name for (name,) in execute("SELECT * FROM public.moved")} <= {"transfer"}

    def test_a_dead_node_makes_the_service_unready(self, client: Client) -> None:
        assert client.get("/readyz").status_code == 200
        execute("UPDATE public.pg_dist_node SET nodeport = 0 WHERE nodename = 'w2'")
        answer = client.get("/readyz")
        assert answer.status_code == 503
        # Its address is for the log: anybody may ask.
        assert answer.json()["problems"] == [
            "Node 3 of the cluster does not answer: rss cannot be used."
        ]

    def test_a_file_that_is_still_followed(self) -> None:
        FileState.objects.create(file="rss", state=FileState.State.FOLLOWING)
        status, text = run()
        assert status == 1
        assert "The file rss is still following" in text

    def test_an_old_citus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "EXTENSION", "SELECT '11.3'")
        status, text = run()
        assert status == 1
        assert "cannot distribute schemas" in text
