"""The project: composition only; the one place that knows every app."""
