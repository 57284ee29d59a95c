"""Why rows are set aside and cells repaired, in words: `docs/reference/values.md` has the rules."""

from __future__ import annotations

from collections.abc import Mapping

_WORDS = {
    "address_shape": "an IP address was written in another form",
    "bad_escape": "a document has an escape that jsonb cannot hold",
    "bad_key": "the key is no whole number, or is spelled in another way",
    "beyond_microseconds": "a time is finer than microseconds",
    "beyond_places": "a decimal number has more places than the column, or more than 15 digits",
    "blob": "bytes stand where a text, number or time belongs",
    "boolean_text": "yes or no was stored as a word",
    "clock_gap": "a local time that no clock showed",
    "clock_guess": "a local time read by a guess of its offset",
    "clock_offset": "a local time of another offset than the file's usual one",
    "duplicate_key": "the key was there already",
    "duplicate_keys": "a document has a key twice",
    "epoch": "a time was stored as a number",
    "integer_in_real": "a whole number was stored for a real one",
    "invalid_utf8": "a text is not UTF-8",
    "json_too_large": "a document has a number too large, or is nested too deep",
    "missing_column": "a required column is missing in the file",
    "missing_parent": "the row that it refers to is not in the target",
    "months": "a duration counts months, which have no fixed length",
    "negative_zero": "a number is -0.0, which the target has as 0",
    "no_key": "the table has no key",
    "not_a_boolean": "a value that is neither yes nor no",
    "not_a_choice": "a value that the column does not allow",
    "not_a_number": "no number where one belongs",
    "not_a_uuid": "a text that is not a UUID",
    "not_an_address": "a text that is not an IP address",
    "not_binary": "a number stands where bytes belong",
    "not_finite": "a document has NaN or Infinity, which JSON does not know",
    "not_json": "a document is not JSON",
    "not_whole": "a fraction where a whole number belongs",
    "nul_in_text": "a text has a NUL character, which PostgreSQL cannot hold",
    "null_in_required": "a required value is missing",
    "number_in_json": "a number stands where a document belongs",
    "number_in_text": "a number stands where a text belongs",
    "numeric_text": "a number was stored as text",
    "out_of_range": "a number is too large for the column",
    "real_in_integer": "a whole number was stored as a real one",
    "refused_by_target": "PostgreSQL refused the row",
    "rounded": "a decimal number was rounded to the places of the column",
    "text_in_binary": "a text stands where bytes belong",
    "time_shape": "a time was written in another form",
    "too_long": "a text is longer than the column takes",
    "unreadable_time": "a time that cannot be read",
    "uuid_shape": "a UUID was written in another form",
}


def add_words(words: Mapping[str, str]) -> None:
    """Make the reasons of a store known, by their codes."""
    _WORDS.update(words)


def in_words(reason: str) -> str:
    """A reason for people; the code itself where it is of another version."""
    return _WORDS.get(reason, reason)
