"""Programs that write to sample files as the old application does: one call, one connection."""
