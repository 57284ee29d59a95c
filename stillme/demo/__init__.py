"""Sample legacy files, and the whole story of the project told on them."""
