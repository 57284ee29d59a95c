"""Django's PostgreSQL backend, plus schema-qualified tables and the embedded server."""
