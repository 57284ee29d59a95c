"""What the vector store is called: in the commands, and in its folder."""

from __future__ import annotations

# Its name in `--file`, the ledger and the reports.
FILE = "vector"
# ChromaDB's database in the folder.
DATABASE = "chroma.sqlite3"
