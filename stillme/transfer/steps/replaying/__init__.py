"""Captured changes into the target: replay, sweep, and rows of other writers."""
