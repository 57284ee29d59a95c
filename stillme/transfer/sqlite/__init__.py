"""The legacy side: connections, schema, snapshots, clock evidence, reading."""
