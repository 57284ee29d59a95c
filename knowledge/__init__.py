"""What StillMe knows: knowledge items, learning sessions, relationships. Schema `knowledge`."""
