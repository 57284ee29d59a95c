"""What the vector store is called: in the commands, in the ledger, and in its folder."""

from __future__ import annotations

# Its name in `--file`, the ledger and the reports.
FILE = "vector"
# ChromaDB's database in the folder.
DATABASE = "chroma.sqlite3"
# The same in the copy that is read.
COPY = f"{FILE}.db"
# The place of a collection that names none.
TENANT, TENANTS_DATABASE = "default_tenant", "default_database"
# Under this the metadata of collections that cannot be held as it is stands in the ledger.
COLLECTIONS = "vector_db/collections"


def ledger_name(tenant: str, database: str, name: str) -> str:
    """The name of a collection in ledger, quarantine, kept cells and reports.

    `vector_db.notes`, or with a place of its own `vector_db.school/library/notes`.
    """
    if (tenant, database) == (TENANT, TENANTS_DATABASE):
        return f"vector_db.{name}"
    return f"vector_db.{tenant}/{database}/{name}"


def target_name(table: str) -> str:
    """What reports call the target of a collection: `vector.items (notes)`."""
    return f"vector.items ({table.partition('.')[2]})"
