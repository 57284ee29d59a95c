"""Collections of a Chroma folder into the target, batch by batch."""
