"""The parts of the documentation that the code knows: pages and tables made from it."""
