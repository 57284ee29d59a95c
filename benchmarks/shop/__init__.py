"""A Django project with six tables of rows: what `django_project.py` moves to PostgreSQL."""
