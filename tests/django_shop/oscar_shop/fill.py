"""Rows as the shop itself writes them; run by `manage.py shell` on either side."""

import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from oscar.apps.catalogue.categories import create_from_breadcrumbs
from oscar.apps.partner.strategy import Selector
from oscar.core.loading import get_model

NOW = datetime.datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=datetime.UTC)


def make(model, **values):
    return get_model(*model.split(".")).objects.create(**values)


def fill(count=20, tag="a"):
    user = User.objects.create_user(f"u{tag}", f"u{tag}@example.org", "x")
    books = make("catalogue.ProductClass", name=f"Sách {tag}")
    for code, kind in (("pages", "integer"), ("weight", "float"), ("day", "date")):
        make("catalogue.ProductAttribute", product_class=books, name=code, code=code, type=kind)
    categories = [create_from_breadcrumbs(f"{tag} > {name}") for name in "xyz"]
    partner = make("partner.Partner", name=f"P{tag}")
    products = [product(f"{tag}{n}", n, books, categories[n % 3], partner) for n in range(count)]
    for number, each in enumerate(products):
        make("reviews.ProductReview", product=each, score=number % 5 + 1, title="t", user=user)
        order(f"{tag}{number}", each, user)
    make(
        "voucher.Voucher",
        name=f"v{tag}",
        code=f"V{tag}",
        start_datetime=NOW,
        end_datetime=NOW + datetime.timedelta(days=3),
    )
    some = make("offer.Range", name=f"r{tag}")
    for each in products[:5]:
        some.add_product(each)
    make("wishlists.WishList", owner=user).add(products[0])


def product(upc, number, books, category, partner):
    made = get_model("catalogue", "Product")(title=f"Sách ü {upc}", upc=upc, product_class=books)
    made.attr.pages, made.attr.weight = number, number / 3
    made.attr.day = datetime.date(2024, 2, 29)
    made.save()
    made.categories.add(category)
    price = Decimal("9.99") + number
    make("partner.StockRecord", product=made, partner=partner, partner_sku=upc, price=price)
    get_model("partner", "StockRecord").objects.update(num_in_stock=100)
    return made


def order(number, bought, user):
    basket = make("basket.Basket", owner=user)
    basket.strategy = Selector().strategy()
    basket.add_product(bought, quantity=2)
    total = {f"total_{kind}": Decimal("19.98") for kind in ("incl_tax", "excl_tax")}
    shipping = {f"shipping_{kind}": 0 for kind in ("incl_tax", "excl_tax")}
    placed = make("order.Order", number=number, basket=basket, user=user, **total, **shipping)
    prices = {
        f"line_price_{kind}": Decimal("19.98")
        for kind in (
            *("incl_tax", "excl_tax"),
            *("before_discounts_incl_tax", "before_discounts_excl_tax"),
        )
    }
    own = {"title": bought.title, "upc": bought.upc, "quantity": 2, "num_allocated": 0}
    make("order.Line", order=placed, product=bought, **own, **prices)


def write():
    """New orders; old products changed; reviews, stock and an order gone."""
    fill(10, "w")
    products = get_model("catalogue", "Product").objects
    for each in products.order_by("pk")[:15]:
        each.title += "!"
        each.save()
    # To delete a product, Oscar needs a library of thumbnails.
    get_model("reviews", "ProductReview").objects.filter(score=2).delete()
    products.order_by("pk").last().stockrecords.all().delete()
    orders = get_model("order", "Order").objects.order_by("pk")
    for each in orders[:5]:
        each.notes.create(message="n", user=each.user)
    orders[7].delete()
