"""Django's migrations of the schema `continuum`."""
