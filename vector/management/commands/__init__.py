"""Commands of the vector store."""
