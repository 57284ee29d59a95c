"""Pages of meaning: what is similar to an item or a text, and a collection as a map."""
