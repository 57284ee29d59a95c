"""Rows that come back from quarantine: edited, or because their parent has arrived."""
