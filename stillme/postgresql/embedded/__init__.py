"""The embedded server: PostgreSQL from a wheel, started by who needs it, stopped after the last."""
