"""Rows as the apps themselves write them; run by `manage.py shell` on either side."""

import datetime
from decimal import Decimal

from board.models import Member, Note
from guardian.shortcuts import assign_perm, remove_perm

MOMENT = datetime.datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=datetime.UTC)


def fill():
    for number in range(4):
        Member.objects.create_user(f"thành viên {number}", password="x")
    write(40)


def write(count):
    """New notes with tags and permissions; old ones changed, untagged, deleted."""
    members = list(Member.objects.order_by("username"))
    for note in Note.objects.order_by("pk")[: count // 4]:
        note.title = f"{note.title}!"
        note.save()
        note.tags.remove("đỏ")
        remove_perm("board.change_note", note.author, note)
    for note in Note.objects.order_by("-pk")[:2]:
        note.delete()
    for number in range(count):
        note = Note.objects.create(
            title=f"ghi chú {number}",
            author=members[number % len(members)],
            due=MOMENT + datetime.timedelta(hours=number) if number % 3 else None,
            price=Decimal(number) / 4 if number % 2 else None,
            details={"n": number, "list": [1.5, None, "é"]},
        )
        note.tags.add("đỏ", f"xanh {number % 3}")
        assign_perm("board.change_note", note.author, note)
