"""`vector_map`: what is kept of a collection, and what it says where it cannot."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from vector import services
from vector.meaning.maps import kept_map

pytestmark = pytest.mark.django_db


def run(*names: str) -> str:
    out = StringIO()
    call_command("vector_map", *names, stdout=out)
    return out.getvalue()


def test_equal_items_lie_together() -> None:
    """Two groups, far apart in three dimensions."""
    notes = services.create_collection("notes", dimension=3)
    vectors = [[10.0 * (at % 2), at / 100, 0.0] for at in range(8)]
    services.add(notes, [f"n{at}" for at in range(8)], vectors)
    assert run() == "notes: a map of 8 items\n"
    kept = kept_map(notes)
    assert kept is not None
    left = {label for _, x, _, label in kept.points if x < 0}
    assert left in ({"n0", "n2", "n4", "n6"}, {"n1", "n3", "n5", "n7"})
    services.delete(notes, ["n0"])
    assert run("notes") == "notes: a map of 7 items\n"


def test_a_collection_without_a_map_and_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services.create_collection("empty", dimension=3)
    assert "needs two items" in run()
    with pytest.raises(SystemExit) as ended:
        run("empty")
    assert ended.value.code == 1
    monkeypatch.setattr("vector.meaning.maps.find_spec", lambda name: None)
    assert "needs numpy: run `pip install" in run()
    with pytest.raises(CommandError, match=r"nope\. Choose from: empty") as no:
        run("nope")
    assert no.value.returncode == 2
