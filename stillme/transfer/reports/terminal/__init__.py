"""Results on a terminal: tables, progress, and JSON where it is asked for."""
