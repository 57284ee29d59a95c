"""Every field and every relation of Django's that a table can have."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from stall.fields import CentsField


class Customer(AbstractUser):
    """The swapped user model."""

    since = models.DateField(null=True)


class Maker(models.Model):
    """A text key, and names of its own."""

    code = models.SlugField(primary_key=True, db_column="maker_code")
    title = models.CharField(max_length=30, db_column="Title")

    class Meta:
        db_table = "makers"


class Shelf(models.Model):
    """Refers to itself, and goes in a circle with Item."""

    name = models.CharField(max_length=40)
    above = models.ForeignKey("self", models.CASCADE, null=True)
    window = models.ForeignKey("Item", models.SET_NULL, null=True, related_name="+")


class Item(models.Model):
    uid = models.UUIDField(unique=True, default=uuid.uuid4)
    shelf = models.ForeignKey(Shelf, models.PROTECT)
    makers = models.ManyToManyField(Maker, related_name="items")
    like = models.ManyToManyField("self")
    name = models.CharField(max_length=60)
    slug = models.SlugField(null=True)
    mail = models.EmailField(blank=True)
    link = models.URLField(blank=True)
    state = models.CharField(max_length=1, choices=[("n", "new"), ("u", "used")])
    price = models.DecimalField(max_digits=12, decimal_places=2)
    weight = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cents = CentsField(default=0)
    is_sold = models.BooleanField(default=False)
    is_new = models.BooleanField(null=True)
    stock = models.PositiveIntegerField(default=0)
    tiny = models.SmallIntegerField(default=0)
    rank = models.PositiveSmallIntegerField(default=0)
    whole = models.IntegerField(null=True)
    big = models.BigIntegerField(default=0)
    views = models.PositiveBigIntegerField(default=0)
    score = models.FloatField(null=True)
    warranty = models.DurationField(null=True)
    opens = models.TimeField(null=True)
    released = models.DateField(null=True)
    data = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    more = models.JSONField(null=True)
    blob = models.BinaryField(null=True)
    ip = models.GenericIPAddressField(null=True)
    picture = models.FileField(blank=True)
    notes = models.TextField(null=True)
    created = models.DateTimeField(auto_now_add=True)
    seen = models.DateTimeField(null=True)
    twice = models.GeneratedField(
        expression=F("stock") * 2, output_field=models.BigIntegerField(), db_persist=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["shelf", "name"], name="one_name_on_a_shelf"),
            models.UniqueConstraint(Lower("slug"), name="slug_once"),
            models.UniqueConstraint(fields=["rank"], condition=Q(rank__gt=0), name="one_of_a_rank"),
            models.CheckConstraint(condition=Q(price__gte=0), name="price_not_negative"),
        ]
        indexes = [
            models.Index(fields=["name", "-created"], name="item_by_name"),
            models.Index(Lower("mail"), name="item_by_mail"),
        ]


class Book(Item):
    """Multi-table inheritance: its key is a reference to its item."""

    pages = models.IntegerField()


class Bargain(Item):
    """A proxy has no table."""

    class Meta:
        proxy = True


class Card(models.Model):
    """A one-to-one reference as key, and a reference to it."""

    owner = models.OneToOneField(Customer, models.CASCADE, primary_key=True)
    limit = models.DecimalField(max_digits=5, decimal_places=0, null=True)


class Ticket(models.Model):
    """A UUID as key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    card = models.ForeignKey(Card, models.CASCADE, null=True)
    follows = models.ForeignKey("self", models.SET_NULL, null=True)


class Opinion(models.Model):
    item = models.ForeignKey(Item, models.CASCADE)
    author = models.ForeignKey(Customer, models.SET_NULL, null=True)
    ticket = models.ForeignKey(Ticket, models.CASCADE, null=True)
    maker = models.ForeignKey(Maker, models.CASCADE, null=True, db_constraint=False)
    at = models.DateTimeField()
    stars = models.PositiveSmallIntegerField()
    text = models.TextField()

    class Meta:
        unique_together = [("item", "author")]


class Label(models.Model):
    """A generic relation: plain columns."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    about = GenericForeignKey()
    word = models.CharField(max_length=20)


class Outside(models.Model):
    """Somebody else's table."""

    class Meta:
        managed = False
        db_table = "outside"
