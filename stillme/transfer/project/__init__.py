"""A Django project's own models as the mapping of its old `db.sqlite3`."""
