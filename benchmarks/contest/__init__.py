"""What benchmarks/compare.py is made of: the server, the tools, and the judge's view of them."""
