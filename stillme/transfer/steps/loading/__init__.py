"""What an import is made of: its plan, its order, its workers, one range at a time."""
