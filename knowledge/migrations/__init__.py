"""Django's migrations of the schema `knowledge`."""
