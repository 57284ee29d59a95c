"""The legacy tables and their way into the models."""

from stillme.transfer.kinds import Json, Key, Real, Reference, Stamp, Text, Timestamp
from stillme.transfer.legacy import Column, LegacyModel


class LegacyCustomer(LegacyModel):
    id = Column(Key(), "INTEGER PRIMARY KEY")
    name = Column(Text(), "TEXT NOT NULL")
    joined = Column(Timestamp(Stamp.ISO), "TEXT", to="joined_at")

    class Meta(LegacyModel.Meta):
        db_table = "customers"

    class Legacy:
        file = "shop"
        target = "shop.Customer"


class LegacyOrder(LegacyModel):
    id = Column(Key(), "INTEGER PRIMARY KEY")
    customer_id = Column(Reference("customers"), "INTEGER NOT NULL")
    amount = Column(Real(), "REAL")
    notes = Column(Json(), "TEXT")

    class Meta(LegacyModel.Meta):
        db_table = "orders"

    class Legacy:
        file = "shop"
        target = "shop.Order"
