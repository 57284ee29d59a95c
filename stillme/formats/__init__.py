"""How the console writes dates."""
