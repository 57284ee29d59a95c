"""The memory tiers L0 to L3, their audit trail, and forgetting. Schema `continuum`."""
