"""The schema page of the docs: both schemas, the mapping, diagrams."""
