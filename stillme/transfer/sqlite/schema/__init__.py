"""What a legacy file holds: its schema, drift, contents, and the profile of its columns."""
