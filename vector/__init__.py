"""StillMe's embeddings: ChromaDB's collections and items in the schema `vector`."""
