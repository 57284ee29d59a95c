"""What becomes of rows: reading a range, the policy for a cell, what is set aside."""
