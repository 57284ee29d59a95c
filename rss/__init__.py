"""The history of RSS fetch cycles and their items. Schema `rss`."""
