"""Rows whose keys share one part or the other; run by `manage.py shell` on either side."""

import uuid
from datetime import UTC, datetime, timedelta

from stock.models import Line, Order, Product, Seat

HALLS = [uuid.UUID(int=number) for number in (7, 2**127, 5)]
SKUS = ["a", "B", "é", "a b", '["a", 1]', "Z'\\"]


def fill(base=0):
    orders = [Order.objects.create(name=f"order {n}") for n in range(1, 5)]
    products = [Product.objects.get_or_create(sku=sku)[0] for sku in SKUS]
    for order in orders:
        for place, product in enumerate(products[order.id % 3 :]):
            Line.objects.create(order=order, product=product, price=f"{place}.25", note=None)
    for place, hall in enumerate(HALLS):
        for number in (-1, 0, 3 + base):
            ticket = f"{base} {place} {number}" if number else None
            sold = datetime(2026, 1, 2, 3, 4, 5, 6, UTC) + timedelta(days=place)
            Seat.objects.create(hall=hall, row=f"r {base}", number=number, ticket=ticket, sold=sold)


def write(base=100):
    fill(base)
    Line.objects.filter(product="a b").update(note="later")
    Line.objects.filter(product="é", order=Order.objects.latest("id")).delete()
    # One part of a key gets another value; a row takes the place of one that went.
    Seat.objects.filter(hall=HALLS[0], row=f"r {base}", number=0).update(number=base + 50)
    Seat.objects.filter(row=f"r {base}", number=-1).update(row=f"q {base}")
    Seat.objects.filter(hall=HALLS[1], row="r 0", number=0).delete()
    Seat.objects.create(hall=HALLS[1], row="r 0", number=0, ticket=f"back {base}")
