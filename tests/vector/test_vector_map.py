"""The map of a collection: what is kept of it, and what is said where it cannot be made."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from vector import services
from vector.meaning.maps import NoMapError, kept_map, make_map

pytestmark = pytest.mark.django_db


def test_equal_items_lie_together() -> None:
    """Two groups, far apart in three dimensions."""
    notes = services.create_collection("notes", dimension=3)
    vectors = [[10.0 * (at % 2), at / 100, 0.0] for at in range(8)]
    services.add(notes, [f"n{at}" for at in range(8)], vectors)
    assert make_map(notes).items == 8
    kept = kept_map(notes)
    assert kept is not None
    left = {label for _, x, _, label in kept.points if x < 0}
    assert left in ({"n0", "n2", "n4", "n6"}, {"n1", "n3", "n5", "n7"})
    services.delete(notes, ["n0"])
    assert make_map(notes).items == 7


def test_the_button_makes_it(admin_client: Client) -> None:
    notes = services.create_collection("notes", dimension=3)
    address = reverse("admin:vector_collection_map", args=[notes.pk])
    assert "needs two items" in admin_client.post(address, follow=True).content.decode()
    services.add(notes, ["a", "b"], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert "Map of 2 items" in admin_client.post(address, follow=True).content.decode()


def test_a_collection_without_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = services.create_collection("empty", dimension=3)
    with pytest.raises(NoMapError, match="needs two items"):
        make_map(empty)
    monkeypatch.setattr("vector.meaning.maps.find_spec", lambda name: None)
    with pytest.raises(NoMapError, match="needs numpy: run `pip install"):
        make_map(empty)
