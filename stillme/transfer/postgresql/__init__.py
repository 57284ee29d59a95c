"""The target side: COPY, sequences, indexes, capture."""
