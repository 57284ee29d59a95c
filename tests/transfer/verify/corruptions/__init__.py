"""Tables of what may be wrong with a target, and of what is different there and yet right.

`test_corruption_matrix.py` goes through them. A new case is one line in one of the tables.
"""
