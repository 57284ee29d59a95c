"""The judge: what it must find, and what it must not."""
