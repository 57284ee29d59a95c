"""Everything in the legacy files that holds data: carried, left by a decision, or open."""
