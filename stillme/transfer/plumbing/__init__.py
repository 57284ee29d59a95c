"""What loader and judge share: processes, temporary folders, quoting, stored cells."""
