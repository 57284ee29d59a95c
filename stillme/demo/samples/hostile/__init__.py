"""Files full of what SQLite takes and PostgreSQL does not, each with what must become of it."""
