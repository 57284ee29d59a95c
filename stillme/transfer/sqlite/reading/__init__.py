"""Reading a legacy file: connections, key ranges, stored rows, huge cells."""
