"""Copies of a legacy file: snapshot, backup, private copy, with and without its indexes."""
