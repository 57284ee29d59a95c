"""Is a target table what its model declares? Structure, definitions, sequences."""
