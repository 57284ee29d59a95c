from django.db import models


class Page(models.Model):
    path = models.CharField(max_length=30, primary_key=True)
    links = models.ManyToManyField("self", symmetrical=False)


class Hit(models.Model):
    page = models.ForeignKey(Page, models.CASCADE)
    customer = models.ForeignKey("shop.Customer", models.CASCADE, db_constraint=False)
    at = models.DateTimeField()
