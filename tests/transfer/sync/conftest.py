"""Sample files, the settings pointed at them, and a clean target for every test."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial

import pytest
from django.db import connection, transaction

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps import install_capture as capture_step
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.syncing import file_states
from tests.made_once import files_of, put_samples

from .files import LEFT_OPEN
from .switching import cut_over

_PROBED = {}


@pytest.fixture(autouse=True)
def probed_once(monkeypatch):
    """Two hundred probes take most of a second, and depend on a file's schema only.

    The first file of a schema is probed for real. (test_capture.py is about the probes.)
    """
    probe = capture_step.probe_file

    def remembered(file):
        with closing(sqlite3.connect(file.path)) as db:
            schema = db.execute("SELECT group_concat(sql, ';') FROM sqlite_master").fetchone()
        if (file.name, schema) not in _PROBED:
            _PROBED[file.name, schema] = probe(file)
        return _PROBED[file.name, schema]

    monkeypatch.setattr(capture_step, "probe_file", remembered)


@pytest.fixture(autouse=True)
def left_open():
    """What the collector does to the old application's connections, much later."""
    yield
    while LEFT_OPEN:
        LEFT_OPEN.pop().close()


@pytest.fixture
def clean_target(transactional_db):
    """Real commits, as capture needs them; everything is gone afterwards."""
    yield
    from stillme.transfer.postgresql import capture
    from stillme.transfer.postgresql.capture import every_target_table

    connection.close()
    with transaction.atomic():
        tables = every_target_table()
        capture.remove("default", tables)
        capture.unfreeze_target("default", tables)


@pytest.fixture
def legacy(clean_target, use_legacy_files, tmp_path, request):
    """`legacy(rows, variant)` makes sample files and points the settings at them."""

    def make(rows=60, variant="clean"):
        directory = tmp_path / "data"
        put_samples(directory, rows=rows, variant=variant, files=files_of(request.node))
        use_legacy_files(directory)
        return directory

    return make


def followed(directory, files, variant="current"):
    put_samples(directory, rows=60, variant=variant, files=files)
    install_capture("default", Selection())
    follow(FollowOptions(once=True))


def switched(directory, files):
    followed(directory, files)
    cut_over()


@pytest.fixture
def set_up(clean_target, stage, request):
    """`set_up(name, make, ...)` is the scene with the files that the test is about."""

    def show(name, make, **given):
        files = files_of(request.node)
        which = "".join(file[0] for file in files)
        return stage(f"{name} {which}", partial(make, files=files, **given))

    return show


@pytest.fixture
def data(set_up):
    """The folder of the variant "current", captured, imported and followed just now."""
    return just_now(set_up("followed", followed))


@pytest.fixture
def clean_data(set_up):
    """The same of the variant "clean"."""
    return just_now(set_up("followed clean", followed, variant="clean"))


@pytest.fixture
def live(set_up):
    """The folder of `data`, cut over: PostgreSQL takes the writes, the files are frozen."""
    return set_up("live", switched)


def just_now(directory):
    """The follower's sign of life is not of the moment when another test made the scene."""
    now = file_states.server_now("default")
    with transaction.atomic():
        for file in filter(lambda file: file.path.exists(), legacy_files()):
            file_states.note("default", file.name, seen_at=now, ended_at=now)
    return directory
