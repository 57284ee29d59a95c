"""The judge: reads both databases by a road of its own. Shares only meanings with the loader."""
