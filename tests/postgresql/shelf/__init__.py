"""An app that exists for tests only: tables in two schemas and one in none."""
