"""Rows into a table that holds some: staged, compared, and only what differs is written."""
