"""What the tests of the vector services share."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.empty_database import empty_database
from vector import services

METADATA = {
    "int1": {"k": 1}, "float1": {"k": 1.0}, "true": {"k": True}, "str1": {"k": "1"},
    "none": {"o": "z"}, "int5": {"k": 5}, "f2.5": {"k": 2.5}, "seven": {"k": 7},
}  # fmt: skip


DOCUMENTS = {
    "int1": "Hello World", "float1": "hello world", "true": "Ünïcode 50% under_score",
    "str1": "abc", "none": "", "int5": "xy", "f2.5": "ab.c", "seven": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def shared_database(django_db_setup, django_db_blocker):
    """The database, for what the tests of a module share; emptied after the last of them."""
    with django_db_blocker.unblock():
        yield
        empty_database()
        connection.close()


@pytest.fixture
def collection():
    made = services.create_collection("things", metric="l2")
    ids = list(METADATA)
    services.add(
        made,
        ids,
        [[float(n), 0.0, 1.0] for n in range(len(ids))],
        [DOCUMENTS[key] for key in ids],
        [METADATA[key] for key in ids],
    )
    services.add(made, ["nodoc"], [[1.0, 2.0, 3.0]], None, [{"q": 1}])
    return made
