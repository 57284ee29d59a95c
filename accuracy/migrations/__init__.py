"""Django's migrations of the schema `accuracy`."""
