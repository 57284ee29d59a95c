"""Migrations of the schema `vector`."""
