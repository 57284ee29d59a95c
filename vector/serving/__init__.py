"""What `vector.services` is made of: collections, filters, search, indexes."""
