"""The transfer engine: moves legacy SQLite files into PostgreSQL and proves it. Knows no domain."""
