"""The judge's own reading of both sides: blocks, canonical lines, documents, local times."""
