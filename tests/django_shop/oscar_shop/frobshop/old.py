"""A shop of django-oscar's on SQLite, as its documentation sets one up: 120 tables."""

import os

from oscar.defaults import *  # noqa: F403

SECRET_KEY = "only-for-tests"
DASHBOARD = (
    *("Dashboard:", "reports:ReportsDashboard", "users:UsersDashboard", "orders:OrdersDashboard"),
    *("catalogue:CatalogueDashboard", "offers:OffersDashboard", "partners:PartnersDashboard"),
    *("pages:PagesDashboard", "ranges:RangesDashboard", "reviews:ReviewsDashboard"),
    *("vouchers:VouchersDashboard", "communications:CommunicationsDashboard"),
    "shipping:ShippingDashboard",
)
SHOP = (
    *("analytics", "checkout", "address", "shipping", "catalogue", "communication", "partner"),
    *("basket", "payment", "offer", "order", "customer", "search", "voucher", "wishlists"),
)
INSTALLED_APPS = [
    *(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions")),
    *(f"django.contrib.{name}" for name in ("messages", "staticfiles", "sites", "flatpages")),
    "oscar.config.Shop",
    "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
    *(f"oscar.apps.{name}.apps.{name.capitalize()}Config" for name in SHOP),
    "oscar.apps.dashboard.apps.DashboardConfig",
    *(
        "oscar.apps.dashboard.{}.apps.{}Config".format(*name.split(":"))
        for name in DASHBOARD
        if not name.endswith(":")
    ),
    *("widget_tweaks", "haystack", "treebeard", "django_tables2"),
]
SITE_ID = 1
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["OLD_FILE"]}}
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
ROOT_URLCONF = "frobshop.urls"
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "Europe/London"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
SILENCED_SYSTEM_CHECKS = ["models.W042"]
