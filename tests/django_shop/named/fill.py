"""Rows that name their parents by a unique column; run by `manage.py shell` on either side."""

from lands.models import Land, Letter, Line, Note, Stamp, Town
from pages.models import Page


def fill(codes="ab", base=0):
    above = Note.objects.create(text="above", legacy_extra={"a": base})
    Note.objects.create(text="below", above=above, legacy=base)
    Page.objects.create(title=f"page {base}")
    for place, code in enumerate(codes):
        land = Land.objects.create(code=f"{code}1", name=f"Land {code}")
        line = Line.objects.create(number=base + 100 + place)
        for number in range(3):
            also = land if number else None
            town = Town.objects.create(land=land, also=also, name=f"{code}{number}")
            stamp = Stamp.objects.create() if number else None
            letter = Letter.objects.create(stamp=stamp, line=line, town=town)
            letter.seen_by_everybody_who_has_carried_it_so_far.add(town)
            letter.seen_by_everybody_who_has_carried_it_since.add(Town.objects.first())


def write():
    fill("xyz", 500)
    # A parent gets another name, and its children go with it.
    for land in Land.objects.filter(code="x1"):
        towns = list(Town.objects.filter(land=land))
        Land.objects.create(code="x2", name="new")
        for town in towns:
            town.land_id = "x2"
            town.save()
    Land.objects.get(code="y1").delete()
    Letter.objects.filter(stamp__isnull=True).first().delete()
