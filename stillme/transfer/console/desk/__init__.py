"""The quarantine desk: look at a row, mend a cell, retry, or accept with a reason."""
