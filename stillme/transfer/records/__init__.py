"""What the engine writes down: runs and chunks, proofs, clocks, which file and which database."""
