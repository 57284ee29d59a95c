"""The table judge: every row by block, a sample, full scans, rows written since the cut-over."""
