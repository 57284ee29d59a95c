"""Cells of text, numbers, references and derived columns that are not what the legacy holds."""

from __future__ import annotations

from tests.transfer.verify.corruptions.case import (
    AUDIT,
    CYCLES,
    FETCHED,
    FORGOT,
    GOALS,
    ITEMS,
    LINKS,
    SCORES,
    SESSIONS,
    TIERS,
    TRENDS,
    Corruption,
    cell,
    cells,
)

# What a damaged page may hold and no text of PostgreSQL's own can: any bytes become a text.
ANY_BYTES = "CREATE CAST (bytea AS text) WITHOUT FUNCTION"


def bytes_behind(what: str, table: str, column: str, key: int | str, behind: str) -> Corruption:
    """More bytes stand behind a text."""
    value = f"(convert_to({column}, 'UTF8') || '\\x{behind}'::bytea)::text"
    return cell(what, table, column, key, value, ANY_BYTES)


# fmt: off
TEXTS = [
    bytes_behind("a text behind a U+0000", ITEMS, "content", 9, "00686964"),
    bytes_behind("a derived text behind a U+0000", CYCLES, "status", 1, "0078"),
    bytes_behind("a byte that is not UTF-8", ITEMS, "content", 9, "ff"),
    bytes_behind("half a letter", FETCHED, "item_title", 5, "c3"),
    bytes_behind("a lone surrogate", SCORES, "question", 3, "eda080"),
    cell("a letter in more bytes than it needs", SCORES, "question", 3, "'\\xc1a1'::bytea::text", ANY_BYTES),
    cell("a trailing blank", ITEMS, "source", 9, "source || ' '"),
    cell("a leading blank", ITEMS, "source", 9, "' ' || source"),
    cell("a trailing line feed", ITEMS, "content", 1, "content || E'\\n'"),
    cell("upper case", ITEMS, "source", 10, "upper(source)"),
    cell("the first letter in upper case", ITEMS, "knowledge_type", 60, "initcap(knowledge_type)"),
    cell("NFC became NFD", ITEMS, "content", 24, "normalize(content, NFD)"),
    cell("NFD became NFC", ITEMS, "source", 24, "normalize(source, NFC)"),
    cell("Vietnamese without its marks", ITEMS, "content", 5, "'noi dung 5'"),
    cell("Vietnamese decomposed", ITEMS, "content", 5, "normalize(content, NFD)"),
    cell("a zero-width space", ITEMS, "content", 2, "U&'\\200B' || content"),
    cell("a soft hyphen", ITEMS, "content", 2, "content || U&'\\00AD'"),
    cell("a byte order mark", SCORES, "question", 3, "U&'\\FEFF' || question"),
    cell("a mark of direction", SCORES, "question", 3, "question || U&'\\200E'"),
    cell("a blank that does not break", SCORES, "expected_answer", 3, "replace(expected_answer, ' ', U&'\\00A0')"),
    cell("a Cyrillic letter that looks alike", SESSIONS, "session_type", 3, "replace(session_type, 'a', U&'\\0430')"),
    cell("full-width digits", FETCHED, "item_title", 5, "'title \uff15'"),
    cell("a variation selector", FETCHED, "item_title", 5, "item_title || U&'\\FE0F'"),
    cell("U+FFFD for a letter", ITEMS, "content", 3, "replace(content, U&'\\1ED9', U&'\\FFFD')"),
    cell("UTF-8 read as Latin-1", ITEMS, "content", 24, "convert_from(convert_to(content, 'UTF8'), 'LATIN1')"),
    cell("CRLF became LF", ITEMS, "content", 41, "replace(content, E'\\r', '')"),
    cell("LF became CRLF", SESSIONS, "content_learned", 4, "replace(content_learned, E'\\n', E'\\r\\n')"),
    cell("a tab became blanks", ITEMS, "content", 41, "replace(content, E'\\t', '    ')"),
    cell("a backslash doubled", ITEMS, "content", 43, "replace(content, E'\\\\', E'\\\\\\\\')"),
    cell("escaped for HTML", ITEMS, "content", 43, "replace(content, '&', '&amp;')"),
    cell("in quotes", ITEMS, "content", 4, "quote_literal(content)"),
    cell("the last letter cut off", ITEMS, "content", 60, "left(content, -1)"),
    cell("a letter twice", ITEMS, "content", 1, "'n' || content"),
    cell("two letters swapped", TIERS, "tier", "alpha", "'L0'"),
    cell("the text of the next row", ITEMS, "content", 8, "(SELECT content FROM knowledge.knowledge_items WHERE id = 9)"),
    cell("empty text became NULL", FETCHED, "item_link", 3, "NULL"),
    cell("NULL became empty text", FETCHED, "summary", 4, "''"),
    cell("NULL became the word NULL", SCORES, "expected_answer", 9, "'NULL'"),
    cell("the word NULL became NULL", SCORES, "context_used", 12, "NULL"),
    cell("empty text became a blank", SCORES, "expected_answer", 10, "' '"),
    cell("required text became empty", ITEMS, "content", 11, "''"),
    cell("empty text became text", ITEMS, "content", 23, "'x'"),
    cell("a text became NULL", AUDIT, "from_tier", 2, "NULL"),
    cell("NULL became a default", AUDIT, "from_tier", 3, "'system'"),
    cell("a default became another", AUDIT, "performed_by", 1, "'operator'"),
    cell("an integer in text spelled as a real", SESSIONS, "content_learned", 7, "'12.0'"),
    cell("a real in text with another digit", SESSIONS, "content_learned", 8, "'1.50'"),
    cell("a real in text in too many digits", SESSIONS, "content_learned", 9, "'0.1000000000000000055511151231257827'"),
    cell("another choice", TIERS, "tier", "zeta", "'L3'"),
    cell("the text of a mended row changed", ITEMS, "content", 55, "'mended '"),
    cell("the text of a row under an edited key changed", ITEMS, "content", 156, "'other'"),
    cell("a vector id cut off", FETCHED, "vector_id", 24, "'v2'"),
    cell("a URL in lower case", FETCHED, "feed_url", 6, "upper(feed_url)"),
]

NUMBERS = [
    cell("an integer off by one", ITEMS, "access_count", 12, "access_count + 1"),
    cell("an integer without its sign", ITEMS, "access_count", 43, "2147483647"),
    cell("NULL became zero", ITEMS, "access_count", 23, "0"),
    cell("an integer became NULL", ITEMS, "access_count", 19, "NULL"),
    cell("zero became NULL", TIERS, "last_update_cycle", "alpha", "NULL"),
    cell("numeric text off by one", ITEMS, "access_count", 30, "8"),
    cell("numeric text as octal", ITEMS, "access_count", 30, "70"),
    cell("a real in an integer off by one", ITEMS, "access_count", 31, "4"),
    cell("a counter of another column", CYCLES, "items_fetched", 2, "cycle_number"),
    cell("a counter of zero became one", CYCLES, "items_low_score", 8, "1"),
    cell("the last bit of a double", ITEMS, "confidence_score", 20, "0.3"),
    cell("the last bit of a double, upwards", TRENDS, "metric_value", 7, "0.10000000000000002"),
    cell("rounded to 15 digits", ITEMS, "confidence_score", 5, "round(confidence_score::numeric, 14)::float8"),
    cell("rounded to six places", SESSIONS, "accuracy_score", 6, "round(accuracy_score::numeric, 6)"),
    cell("through a float of 32 bits", FORGOT, "recall_at_k_before", 2, "recall_at_k_before::real"),
    cell("a percentage", SCORES, "accuracy_score", 4, "accuracy_score * 100"),
    cell("zero became minus zero", ITEMS, "retention_score", 21, "'-0'::float8"),
    cell("zero of minus zero became minus zero", ITEMS, "confidence_score", 21, "'-0'::float8"),
    cell("the smallest double became zero", ITEMS, "retention_score", 20, "0"),
    cell("infinity became the largest double", ITEMS, "confidence_score", 22, "1.7976931348623157e308"),
    cell("infinity became NaN", ITEMS, "confidence_score", 22, "'NaN'"),
    cell("minus infinity became infinity", ITEMS, "retention_score", 22, "'Infinity'"),
    cell("a double became NaN", TIERS, "surprise_score", "beta", "'NaN'"),
    cell("a double became infinity", GOALS, "target_score", 3, "'Infinity'"),
    cell("a double became NULL", GOALS, "current_score", 3, "NULL"),
    cell("NULL became 0.0", ITEMS, "confidence_score", 23, "0.0"),
    cell("NULL became NaN", AUDIT, "validator_overlap", 1, "'NaN'"),
    cell("an integer in a real off by a bit", SCORES, "accuracy_score", 7, "0.9999999999999999"),
    cell("text in a real off by a bit", SCORES, "accuracy_score", 8, "0.25000000000000006"),
    cell("the sign of a double", LINKS, "strength", 3, "-strength"),
    cell("a denormal for zero", TIERS, "validator_overlap", "beta", "'5e-324'"),
]

REFERENCES = [
    cell("a reference to the next parent", LINKS, "source_id", 3, "4"),
    cell("a reference to itself", LINKS, "target_id", 1, "source_id"),
    cells("the two references of a row swapped", LINKS, "source_id", 5,
          f"UPDATE {LINKS} SET source_id = target_id, target_id = source_id WHERE id = 5"),
    cell("an item of another cycle", FETCHED, "cycle_id", 24, "2"),
]

DERIVED = [
    cell("unfinished became completed", CYCLES, "status", 5, "'completed'"),
    cell("completed became unfinished", CYCLES, "status", 1, "'unfinished'"),
    cell("a status that no rule gives", CYCLES, "status", 8, "'failed'"),
    cell("a status in upper case", CYCLES, "status", 2, "'Completed'"),
    cell("an empty status", CYCLES, "status", 3, "''"),
]

# Columns of the target for which the legacy has nothing: values.md says what they hold.
ONLY_IN_TARGET = [
    cell("an invented message", FETCHED, "error_message", 2, "'timeout'"),
    cell("an empty invented message", FETCHED, "error_message", 2, "''"),
    cell("an invented message of a cycle", CYCLES, "error_message", 5, "'crashed'"),
    cell("an invented time of publication", FETCHED, "item_published", 2, "fetch_timestamp"),
    cell("invented metadata of a trend", TRENDS, "metadata", 1, "'{\"a\": 1}'"),
    cell("no metadata of a trend", TRENDS, "metadata", 1, "NULL"),
    cell("metadata that is an array", TRENDS, "metadata", 1, "'[]'"),
    cell("a time of update that nobody wrote", GOALS, "updated_at", 1, "now()"),
    cell("accesses that nobody counted", TIERS, "access_count", "beta", "7"),
    cell("no accesses instead of zero", TIERS, "access_count", "beta", "NULL"),
    cell("an access that nobody made", TIERS, "last_accessed", "beta", "now()"),
    cell("metadata of a tier", TIERS, "metadata", "beta", "'{\"n\": null}'"),
    cell("an invented tier", FORGOT, "tier", 1, "'L2'"),
    cell("an invented count", FORGOT, "forgotten_count", 1, "1"),
    cell("an invented total", FORGOT, "total_count", 10, "3"),
    cell("an invented rate", FORGOT, "forgetting_rate", 1, "0.5"),
    cell("a rate of minus zero", FORGOT, "forgetting_rate", 1, "'-0'::float8"),
    cell("an invented message of a row with kept cells", FETCHED, "error_message", 24, "'x'"),
]
# fmt: on

MOVED = [
    cells("two rows swap a cell", ITEMS, "source", 3,
          f"UPDATE {ITEMS} SET source = CASE id WHEN 3 THEN 'source 4' ELSE 'source 3' END "
          "WHERE id IN (3, 4)"),
    cells("two columns of a row swapped", ITEMS, "source", 6,
          f"UPDATE {ITEMS} SET source = knowledge_type, knowledge_type = source WHERE id = 6"),
    cells("two scores of a row swapped", ITEMS, "confidence_score", 6,
          f"UPDATE {ITEMS} SET confidence_score = retention_score, "
          "retention_score = confidence_score WHERE id = 6"),
    cells("two times of a row swapped", ITEMS, "created_at", 6,
          f"UPDATE {ITEMS} SET created_at = last_accessed, last_accessed = created_at "
          "WHERE id = 6"),
    cells("a column shifted by a row", ITEMS, "source", 60,
          f"UPDATE {ITEMS} AS t SET source = s.before FROM (SELECT id, coalesce(lag(source) "
          f"OVER (ORDER BY id), '') AS before FROM {ITEMS}) AS s WHERE s.id = t.id"),
    cells("a whole column is NULL", FETCHED, "summary", 24, f"UPDATE {FETCHED} SET summary = NULL"),
    cells("a whole column of another", TIERS, "retrieval_count_30d", "beta",
          f"UPDATE {TIERS} SET retrieval_count_30d = retrieval_count_7d"),
    cells("a whole column rounded", SCORES, "accuracy_score", 5,
          f"UPDATE {SCORES} SET accuracy_score = round(accuracy_score::numeric, 3)"),
    cells("a column replaced, no tuple written again", ITEMS, "knowledge_type", 1,
          f"ALTER TABLE {ITEMS} ADD COLUMN late text NOT NULL DEFAULT 'other'",
          f"ALTER TABLE {ITEMS} DROP COLUMN knowledge_type",
          f"ALTER TABLE {ITEMS} RENAME COLUMN late TO knowledge_type",
          f"ALTER TABLE {ITEMS} ALTER COLUMN knowledge_type DROP DEFAULT"),
    cells("a number replaced, no tuple written again", FORGOT, "recall_at_k_before", 1,
          f"ALTER TABLE {FORGOT} ADD COLUMN late float8 DEFAULT 0.5",
          f"ALTER TABLE {FORGOT} DROP COLUMN recall_at_k_before",
          f"ALTER TABLE {FORGOT} RENAME COLUMN late TO recall_at_k_before",
          f"ALTER TABLE {FORGOT} ALTER COLUMN recall_at_k_before DROP DEFAULT"),
    cells("a late column that is always NULL", FETCHED, "summary", 1,
          f"ALTER TABLE {FETCHED} DROP COLUMN summary",
          f"ALTER TABLE {FETCHED} ADD COLUMN summary text"),
]  # fmt: skip

CASES: list[Corruption] = [
    *TEXTS, *NUMBERS, *REFERENCES, *DERIVED, *ONLY_IN_TARGET, *MOVED,
]  # fmt: skip
