"""The verbs: one file per step of the way."""
