"""The dashboard: where the migration stands, figures and progress."""
