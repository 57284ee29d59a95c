"""Django's migrations of the schema `rss`."""
