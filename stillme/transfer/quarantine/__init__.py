"""Rows that were set aside: why, and what people decide about them."""
