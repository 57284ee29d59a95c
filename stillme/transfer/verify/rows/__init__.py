"""The row judge: what must have become of one legacy row, and what did."""
