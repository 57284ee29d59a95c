"""ChromaDB's client over PostgreSQL: the same calls, arguments, answers and errors.

    import vector.client as chromadb                  # was: import chromadb
    from vector.client.config import Settings         # was: from chromadb.config import Settings
    from vector.client.errors import NotFoundError    # was: from chromadb.errors import ...

`stillme.setup()` comes first, as for every service. A thin layer over `vector.services`; what is
different from chromadb 1.4.1 is in docs/reference/vectors.md. The package chromadb is not needed.
"""

from vector.client import errors
from vector.client.collection import Collection
from vector.client.config import Settings
from vector.client.persistent import ClientAPI, PersistentClient

__all__ = ["ClientAPI", "Collection", "PersistentClient", "Settings", "errors"]
