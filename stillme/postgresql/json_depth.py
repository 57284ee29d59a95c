"""How deep a JSON document may nest, for loader, judge, services and console.

docs/reference/values.md, "Limits of a document", says what happens beyond it.
"""

from __future__ import annotations

from typing import Any

# Levels, the innermost value one of them. Python's parser and PostgreSQL's both read this many;
# Python's, where it is called from within fewer than some 450 calls (its limit is 1,000 in all).
DEEPEST = 500
_NESTS = (dict, list, tuple)


def is_deeper(document: Any, levels: int) -> bool:
    """Whether a parsed document has more levels; one of them at a time, without recursion."""
    level = [document]
    for _ in range(levels):
        lists = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, _NESTS))
        level = [child for children in lists for child in children]
        if not level:
            return False
    return True
