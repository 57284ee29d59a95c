"""The verbs: one file per step of the way. The folders hold what the verbs are made of."""
