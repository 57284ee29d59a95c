"""Fill the project's tables, whatever database it is on; run by `manage.py shell`."""

import random
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sites.models import Site
from django.db.models import JSONField, Value
from stall.models import Book, Card, Customer, Item, Label, Maker, Opinion, Shelf, Ticket

JSON_NULL = Value(None, JSONField())
dice = random.Random(20)
START = datetime(2026, 3, 1, 12, tzinfo=UTC if settings.USE_TZ else None)


def moment(number):
    return START + timedelta(hours=number, microseconds=number * 1001 if number % 3 else 0)


def fill():
    Site.objects.update_or_create(pk=1, defaults={"domain": "stall.example", "name": "Stall"})
    customers = [
        Customer.objects.create_user(
            f"customer {n}", f"c{n}@example.org", None if n % 3 else "secret", is_staff=n % 5 == 0,
            first_name="Élise", since=date(2000, 2, 29) if n % 2 else None,
            last_login=moment(n) if n % 4 else None,
        )
        for n in range(8)
    ]  # fmt: skip
    editors = Group.objects.create(name="editors")
    editors.permissions.set(Permission.objects.order_by("codename")[3:9])
    customers[1].groups.add(editors)
    customers[2].user_permissions.set(Permission.objects.filter(codename="change_item"))
    makers = [Maker.objects.create(code=f"maker-{n}", title=f"Maker {n} ☕") for n in range(5)]
    shelves = []
    for n in range(6):
        above = shelves[n // 3] if n else None
        shelves.append(Shelf.objects.create(name=f"shelf {n}", above=above))
    items = [make_item(n, shelves[n % 6]) for n in range(60)]
    for n, shelf in enumerate(shelves[:4]):
        shelf.window = items[n]
        shelf.save()
    for n, item in enumerate(items):
        item.makers.set(makers[: n % 4])
        item.like.add(*items[n + 1 : n + 1 + n % 3])
    # An id that was given and is gone: it is not given again.
    Item.objects.filter(pk=make_item(999, shelves[0]).pk).delete()
    make_others(customers, makers, items)


def make_item(n, shelf):
    kind, more = (Item, {}) if n % 7 else (Book, {"pages": n})
    return kind.objects.create(
        uid=uuid.UUID(int=dice.getrandbits(128)), shelf=shelf, name=f"Item {n} ' \" \\ \t☕",
        slug=f"item-{n}" if n % 2 else None, mail="a@example.org", link="https://example.org/?a=1",
        state="nu"[n % 2], price=Decimal(n * 199) / 100, rank=n,
        weight=Decimal(dice.randrange(10**12)) / 10**10 if n % 3 else None,
        cents=Decimal(n * 7) / 100, is_sold=n % 2 == 0, is_new=[None, True, False][n % 3], stock=n,
        tiny=-(n % 100) * 300, whole=-(2**31) if n == 3 else n, big=2**62 + n, views=2**63 - 1 - n,
        score=n / 7 if n % 4 else None,
        warranty=timedelta(days=n - 5, microseconds=n * 7) if n % 4 else None,
        opens=time(n % 24, 30, 0, n * 3 if n % 2 else 0),
        released=date(1900 + n, 1, 1) if n % 5 else None,
        data=[{"a": [n, {"b": "ü"}], "n": None}, [], "text", 7, 1.5, True, {}][n % 7],
        more=[None, {"at": n}, JSON_NULL][n % 3], blob=dice.randbytes(n % 40) if n % 6 else None,
        ip=[None, f"10.0.0.{n % 256}", "2001:db8::1", "::ffff:10.0.0.1"][n % 4],
        picture=f"p/{n}.png",
        notes="line\nline\r\n" * (n % 3) if n % 2 else None, seen=moment(n) if n % 3 else None,
        **more,
    )  # fmt: skip


def make_others(customers, makers, items):
    cards = [Card.objects.create(owner=c, limit=c.pk * 100) for c in customers[::2]]
    tickets = []
    for n in range(6):
        follows = tickets[-1] if n % 2 else None
        key = uuid.UUID(int=dice.getrandbits(128))
        tickets.append(Ticket.objects.create(id=key, card=cards[n % 4], follows=follows))
    for n in range(200):
        Opinion.objects.create(
            item=items[n % 60], author=customers[n // 60], ticket=tickets[n % 6] if n % 2 else None,
            maker=makers[n % 5], at=moment(n * 11), stars=1 + n % 5, text="fine " * (n % 9),
        )  # fmt: skip
    for n, about in enumerate([*items[:10], *customers, *makers[:0]]):
        Label.objects.create(about=about, word=f"word {n}")
    for n in range(3):
        session = SessionStore()
        session["n"] = n
        session.save()
    LogEntry.objects.create(
        user=customers[0], content_type=ContentType.objects.get_for_model(Item), object_id="1",
        object_repr="Item", action_flag=1, change_message="[]",
    )  # fmt: skip


def write(times):
    """Writes of a busy day on whatever database: new, changed and deleted objects of each model."""
    dice.seed(f"write {times}")
    items, customers = list(Item.objects.order_by("pk")), list(Customer.objects.order_by("pk"))
    makers = list(Maker.objects.order_by("pk"))
    shelves = list(Shelf.objects.order_by("pk"))
    cards = list(Card.objects.order_by("pk"))
    for n in range(times):
        item = items[n % len(items)]
        match n % 10:
            case 0:
                items.append(make_item(1000 + Item.objects.count() * 7 + n % 7, shelves[n % 6]))
            case 1:
                item.makers.add(makers[n % len(makers)])
            case 2:
                item.score, item.data = n / 3, {"n": n, "text": "ß"}
                item.save()
            case 3:
                Label.objects.create(about=item, word=f"late {n}")
            case 4:
                Ticket.objects.create(card=cards[n % len(cards)], follows=Ticket.objects.first())
            case 5:
                Opinion.objects.filter(pk=n).delete()
            case 6:
                makers.append(Maker.objects.create(code=f"late-{len(makers)}-{n}", title="Late"))
            case 7:
                customers[n % 8].last_login = moment(n)
                customers[n % 8].save()
            case 8:
                item.warranty, item.seen = timedelta(seconds=-n, microseconds=n), moment(n)
                item.price, item.ip = Decimal(n) / 4, None
                item.save()
            case 9:
                item.like.add(*items[:2])
