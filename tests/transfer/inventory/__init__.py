"""The inventory: everything a legacy file holds is carried, left by a decision, or open."""
