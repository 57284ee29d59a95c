"""One search over all tables: words without accents, found by an index or among the newest rows."""
