"""What keeps both sides in step: rounds of replayed changes, the sweep, the state of a file."""
