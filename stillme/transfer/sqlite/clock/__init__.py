"""Local times: the file's clock, the evidence for it, zones, and units of numbers."""
