"""Reads and writes by app; every file has every table, as `migrate --database` makes them."""


class StatsRouter:
    def db_for_read(self, model, **hints):
        return "stats" if model._meta.app_label == "stats" else None

    db_for_write = db_for_read
