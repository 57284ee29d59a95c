"""Health, metrics, request ids, logs, and the answer when the database is away."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connections, models
from django.db.migrations.operations import AlterField
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, RequestFactory
from django.utils import timezone

from stillme.ops import checks
from stillme.ops.context import request_id, request_id_from
from stillme.ops.health import DATABASE_AWAY
from stillme.ops.logs import ContextFilter, JsonFormatter
from stillme.ops.middleware import OperationsMiddleware
from stillme.transfer.models import FileState, Run
from stillme.transfer.records import ledger

pytestmark = pytest.mark.django_db


def test_alive_asks_no_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "cursor", None)
    assert client.get("/healthz").json() == {"status": "alive"}


def test_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "problems": [], "followers": {}, "replicas": {}}


def test_not_ready_without_migrations(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="rss").delete()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["problems"][0]


def test_not_ready_without_a_database(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError('connection to server at "h", port 1 failed: Connection refused')

    monkeypatch.setattr("stillme.ops.health.unapplied", refuse)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == [DATABASE_AWAY]
    assert "No PostgreSQL answers" in caplog.text


@pytest.mark.parametrize(
    ("details", "problem"),
    [
        ({"lag_seconds": 0.2, "lag_changes": 3}, ""),
        ({"lag_seconds": 61.0, "lag_changes": 9}, "61.0 s behind"),
        ({"lag_seconds": 0.0, "seen_at": "old"}, "the follower is silent"),
        ({}, ""),
    ],
)
def test_follower_lag(client: Client, details: dict[str, Any], problem: str) -> None:
    now = timezone.now()
    seen = now - timedelta(hours=1) if details.pop("seen_at", "") else now
    row = {**details, "seen_at": seen.isoformat()}
    FileState.objects.create(file="rss", state=FileState.State.FOLLOWING, details=row)
    FileState.objects.create(file="knowledge", state=FileState.State.LIVE, details={})
    answer = client.get("/readyz")
    assert list(answer.json()["followers"]) == ["rss"]
    assert answer.status_code == (503 if problem else 200)
    assert problem in "".join(answer.json()["problems"])


def test_metrics(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "t0ken"
    client.get("/healthz")
    page = client.get("/metrics", headers={"Authorization": "Bearer t0ken"})
    assert page["Content-Type"].startswith("text/plain")
    text = page.content.decode()
    assert 'stillme_http_requests_total{method="GET",status="200",view="healthz"}' in text
    assert 'stillme_http_request_seconds_bucket{le="0.1",view="healthz"}' in text
    assert "# TYPE stillme_db_requests_waiting gauge" in text


@pytest.mark.parametrize("token", ["", "t0ken"])
def test_metrics_say_nothing_to_strangers(
    client: Client, admin_user: User, settings: Any, token: str
) -> None:
    settings.METRICS_TOKEN = token
    guest = User.objects.create_user("guest", password="x")
    for given in (None, "Bearer ", "Bearer", "Bearer other", "Bearer \u00e9", "Basic t0ken"):
        headers = {} if given is None else {"Authorization": given}
        for someone in (None, guest):
            if someone:
                client.force_login(someone)
            page = client.get("/metrics", headers=headers)
            assert page.status_code == 404
            assert b"stillme_" not in page.content
        client.logout()
    client.force_login(admin_user)
    assert b"stillme_http_requests" in client.get("/metrics").content
    User.objects.update(is_active=False)
    assert client.get("/metrics").status_code == 404


def test_request_ids(client: Client) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": "abc-123"})
    assert given["X-Request-ID"] == "abc-123"
    made = client.get("/healthz", headers={"X-Request-ID": "a b\n<script>"})["X-Request-ID"]
    assert len(made) == 32
    assert request_id.get() == ""
    assert len(request_id_from("x" * 65)) == 32


def test_a_database_that_is_away_is_503_and_a_sentence(
    rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    middleware = OperationsMiddleware(lambda request: None)  # type: ignore[arg-type, return-value]
    error = OperationalError("couldn't get a connection after 10.00 sec")
    answer = middleware.process_exception(rf.get("/x"), error)
    assert answer is not None
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert answer.content.decode() == DATABASE_AWAY
    assert "DB_POOL_MAX_SIZE" in caplog.text
    assert middleware.process_exception(rf.get("/x"), ValueError("x")) is None


def test_log_lines_are_json_with_the_request_id() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "xin chào %s", ("bạn",), None)
    token = request_id.set("r1")
    try:
        assert ContextFilter().filter(record)
    finally:
        request_id.reset(token)
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["request_id"], line["level"]) == ("xin chào bạn", "r1", "INFO")


def test_a_run_gives_its_id_to_log_lines() -> None:
    run = Run.objects.create(command="import_sqlite")
    record = logging.LogRecord("n", logging.INFO, "f", 1, "m", (), None)
    ContextFilter().filter(record)
    assert json.loads(JsonFormatter().format(record))["run_id"] == str(run.pk)


def test_the_domains_can_be_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    from rss.models import FetchCycle, FetchItem

    assert checks.domains_can_be_distributed() == []
    monkeypatch.setattr(FetchCycle._meta, "db_table", '"knowledge"."fetch_cycles"')
    assert [problem.id for problem in checks.problems_of(FetchItem)] == ["ops.E002"]
    assert [problem.id for problem in checks.problems_of(FetchCycle)] == ["ops.E001"]
    monkeypatch.setattr(FetchItem._meta.get_field("cycle"), "db_constraint", False)
    assert [problem.id for problem in checks.problems_of(FetchItem)] == ["ops.E003"]
    monkeypatch.setattr(FetchItem._meta, "pk", models.AutoField(name="id", primary_key=True))
    assert [problem.id for problem in checks.problems_of(FetchItem)] == ["ops.E003", "ops.E004"]


def test_a_migration_that_alters_a_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.keys_keep_their_types() == []
    alter = AlterField("fetchitem", "id", models.AutoField(primary_key=True))
    found = {("rss", "0002"): SimpleNamespace(operations=[alter])}
    monkeypatch.setattr(
        checks, "MigrationLoader", lambda connection: SimpleNamespace(disk_migrations=found)
    )
    assert [problem.id for problem in checks.keys_keep_their_types()] == ["ops.E005"]


def test_the_run_of_a_command_begins_and_ends_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "stillme.runs"):
        run = ledger.start_run("default", "import_sqlite", {})
        ledger.finish_run("default", run, failed=False)
    assert [record.getMessage() for record in caplog.records] == [
        "import_sqlite began",
        "import_sqlite ended: completed",
    ]
