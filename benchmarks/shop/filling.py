"""Rows as Django on SQLite stores them, which its ORM would take minutes to write."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]
# Of a hundred rows.
SHARES = {
    "shop_customer": 10,
    "shop_product": 10,
    "shop_customer_wishes": 15,
    "shop_order": 20,
    "shop_line": 35,
    "shop_review": 10,
}
TABLES = tuple(SHARES)
SENTENCE = "a quiet blue chair of oak with four legs, đẹp và bền, for the garden or the kitchen"
WORDS = SENTENCE.split()


def counts_of(rows: int) -> dict[str, int]:
    """How many of `rows` rows each table gets; `rows` is a multiple of a hundred."""
    return {table: rows * share // 100 for table, share in SHARES.items()}


def fill(file: Path, rows: int) -> None:
    """Fill the migrated file."""
    counts = counts_of(rows)
    with closing(sqlite3.connect(file)) as connection, connection:
        for table, make in MADE.items():
            dice = random.Random(table)
            made = make(dice, counts)
            first = next(made)
            marks = ", ".join("?" * len(first))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", first)
            while part := list(islice(made, 10_000)):
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", part)


def customers(dice: random.Random, counts: dict[str, int]) -> Iterator[Row]:
    for n in range(1, counts["shop_customer"] + 1):
        email = f"customer{n}@example.org"
        yield n, f"Customer {n} Nguyễn", email, moment(dice)[:10], n % 7 > 0


def products(dice: random.Random, counts: dict[str, int]) -> Iterator[Row]:
    for n in range(1, counts["shop_product"] + 1):
        details = {"colour": dice.choice(WORDS), "sizes": [n % 5, n % 9], "weight": n / 8}
        warranty = dice.randrange(10**14) if n % 4 else None
        yield (
            *(n, f"Product {n}, {text(dice, 3)}", f"product-{n}", money(dice, 10**6), n % 900),
            *(n % 3 > 0, json.dumps(details), warranty, moment(dice)),
        )


def wishes(dice: random.Random, counts: dict[str, int]) -> Iterator[Row]:
    """Pairs that are there once."""
    number, products = 0, counts["shop_product"]
    while number < counts["shop_customer_wishes"]:
        # Two wishes of each customer at most.
        customer, second = number % counts["shop_customer"] + 1, number // counts["shop_customer"]
        number += 1
        yield number, customer, (customer * 7 + second) % products + 1


def orders(dice: random.Random, counts: dict[str, int]) -> Iterator[Row]:
    for n in range(1, counts["shop_order"] + 1):
        address = f"10.{n % 256}.{dice.randrange(256)}.1" if n % 3 else None
        customer = dice.randint(1, counts["shop_customer"])
        yield n, moment(dice), dice.choice("nps"), money(dice, 10**7), address, customer


def lines(dice: random.Random, counts: dict[str, int]) -> Iterator[Row]:
    for n in range(1, counts["shop_line"] + 1):
        order = dice.randint(1, counts["shop_order"])
        product = dice.randint(1, counts["shop_product"])
        note = text(dice, 6) if n % 5 == 0 else ""
        yield n, dice.randint(1, 9), money(dice, 10**6), note, order, product


def reviews(dice: random.Random, counts: dict[str, int]) -> Iterator[Row]:
    for n in range(counts["shop_review"]):
        customer = dice.randint(1, counts["shop_customer"]) if n % 9 else None
        product = dice.randint(1, counts["shop_product"])
        yield (
            *(f"{dice.getrandbits(128):032x}", 1 + n % 5, dice.random(), text(dice, 25)),
            *(moment(dice), customer, product),
        )


def text(dice: random.Random, words: int) -> str:
    return " ".join(dice.choices(WORDS, k=words))


def money(dice: random.Random, below: int) -> str:
    """As Django hands it to SQLite, whose column makes a number of it."""
    cents = dice.randrange(below)
    return f"{cents // 100}.{cents % 100:02d}"


def moment(dice: random.Random) -> str:
    """As Django writes it, which leaves a fraction of nothing out."""
    day = f"20{dice.randrange(10, 26)}-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}"
    clock = f"{dice.randrange(24):02d}:{dice.randrange(60):02d}:{dice.randrange(60):02d}"
    return f"{day} {clock}.{dice.randrange(1, 10**6):06d}"


MADE: dict[str, Callable[[random.Random, dict[str, int]], Iterator[Row]]] = {
    "shop_customer": customers,
    "shop_product": products,
    "shop_customer_wishes": wishes,
    "shop_order": orders,
    "shop_line": lines,
    "shop_review": reviews,
}
