"""The legacy row next to its target row, and what the judge says of it."""
