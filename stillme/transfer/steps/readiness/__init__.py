"""The go/no-go list: what a cut-over asks before it begins."""
