"""Rows in both files; run by `manage.py shell` on either side."""

import datetime

from shop.models import Customer, Order
from stats.models import Hit, Page

# New York's clock goes back on that day at 06:00 UTC.
START = datetime.datetime(2025, 11, 2, 0, 30, 0, 7, tzinfo=datetime.UTC)


def fill():
    for number in range(5):
        Customer.objects.create(name=f"customer {number}", since=START)
        Page.objects.create(path=f"/{number}")
    write(60)


def write(count):
    customers, pages = list(Customer.objects.order_by("pk")), list(Page.objects.order_by("pk"))
    for number in range(count):
        # Never in the hour that comes twice: of that Django on SQLite reads another time itself.
        at = START + datetime.timedelta(hours=number * 24, minutes=number)
        customer, page = customers[number % 5], pages[number % 5]
        Order.objects.create(customer=customer, at=at)
        Hit.objects.create(page=page, customer_id=customer.pk, at=at)
        page.links.add(pages[(number * 3 + 1) % 5])
    Hit.objects.filter(pk=count // 2).delete()
