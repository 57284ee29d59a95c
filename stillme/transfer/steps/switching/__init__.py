"""What a cut-over and the way back are made of: the tail, and target rows in a file's own words."""
