"""After the cut-over the old files are read-only, and whoever touches them is told of."""
