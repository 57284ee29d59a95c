"""The commands: each parses, makes one call of a library function, shows its result, and exits."""
