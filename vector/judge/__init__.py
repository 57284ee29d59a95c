"""The proof of the vectors, by its own reading of both sides."""
