"""Chroma's `where` and `where_document` as conditions of the ORM.

Semantics of chromadb 1.4, for lists those of 1.5: numbers compare by value (1 is 1.0), booleans
and strings only with their own kind; `$ne`, `$nin` and `$not_contains` also take items that lack
the key or document. A list is found by `$contains` alone, and there 1 is not 1.0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db import DataError, connection, transaction
from django.db.models import BooleanField, F, Func, Q, Value
from django.db.models.functions import Coalesce

from stillme.postgresql.connecting.explain import first_line
from stillme.postgresql.json_depth import is_deeper
from stillme.postgresql.statements import fetch_all
from vector.fields import MetadataEncoder
from vector.serving.given_values import is_no_text
from vector.serving.patterns import PatternError, translate

Scalar = str | int | float | bool
_COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
# A condition is two: the mapping of `$and`, and its list. Django needs some three calls for each.
MOST_LEVELS = 200
_JOINS: dict[str, Callable[[Q, Q], Q]] = {"$and": and_, "$or": or_}


class FilterError(Exception):
    """A `where` or `where_document` that cannot be understood; the message says what is wrong."""


class _PathExists(Func):
    """jsonb_path_exists with the operand bound, not written into the path."""

    function = "jsonb_path_exists"
    output_field = BooleanField()


class _HasPoint(Func):
    """Whether the text of a metadata value has a point."""

    template = "coalesce(strpos(jsonb_extract_path_text(%(expressions)s), '.') > 0, FALSE)"
    output_field = BooleanField()


def check_depth(where: Mapping[str, Any], what: str) -> None:
    """FilterError for conditions within conditions so deep that Python could not compile them."""
    if is_deeper(where, MOST_LEVELS):
        raise FilterError(f"{what} is nested too deep: 100 conditions within each other at most.")


def where_condition(where: Mapping[str, Any]) -> Q:
    """The condition of a metadata filter."""
    key, operand = _only(where, "where")
    if key in _JOINS:
        return _joined(key, operand, where_condition)
    if key.startswith("$"):
        raise FilterError(f"{key} is no operator of where: use $and, $or or a metadata key.")
    if not isinstance(operand, Mapping):
        return _equal(key, _scalar(operand))
    operator, value = _only(operand, f"the operand of {key}")
    return _compare(key, operator, value)


def document_condition(where: Mapping[str, Any]) -> Q:
    """The condition of a document filter; case matters."""
    operator, operand = _only(where, "where_document")
    if operator in _JOINS:
        return _joined(operator, operand, document_condition)
    if not isinstance(operand, str) or not operand:
        raise FilterError(f"The operand of {operator} in where_document must be a text.")
    _held(operand, f"The operand of {operator} in where_document")
    if operator in ("$contains", "$not_contains"):
        found = Q(document__contains=operand)
    elif operator in ("$regex", "$not_regex"):
        found = Q(document__regex=_pattern(operand, operator))
    else:
        raise FilterError(
            f"{operator} is no operator of where_document: use $contains, $not_contains, $regex, "
            "$not_regex, $and or $or."
        )
    return ~found | Q(document__isnull=True) if operator.startswith("$not") else found


def _pattern(given: str, operator: str) -> str:
    """Chroma's pattern as PostgreSQL's, which is asked whether it takes it."""
    what = f"The pattern {given[:60]!r} of {operator}"
    try:
        pattern = translate(given)
        with transaction.atomic():
            fetch_all(connection, "SELECT '' ~ %s", [pattern])
    except PatternError as error:
        raise FilterError(f"{what} cannot be used: {error}.") from error
    except DataError as error:
        raise FilterError(f"{what} cannot be used: PostgreSQL says {first_line(error)}.") from error
    return pattern


def _only(mapping: Mapping[str, Any], what: str) -> tuple[str, Any]:
    if not isinstance(mapping, Mapping) or len(mapping) != 1:
        raise FilterError(f"Expected exactly one key in {what}, got {mapping!r}.")
    ((key, value),) = mapping.items()
    if not isinstance(key, str):
        raise FilterError(f"The key in {what} is a text, not {key!r}.")
    _held(key, f"The key in {what}")
    return key, value


def _joined(operator: str, operand: Any, condition: Callable[[Mapping[str, Any]], Q]) -> Q:
    if not isinstance(operand, list | tuple) or not operand:
        raise FilterError(f"The operand of {operator} must be a list of conditions.")
    return reduce(_JOINS[operator], [condition(part) for part in operand])


def _held(text: object, what: str) -> None:
    """FilterError for a text that no item can have."""
    if is_no_text(text):
        raise FilterError(f"{what} has a NUL or half of a surrogate pair, which no item has.")


def _scalar(value: Any) -> Scalar:
    _held(value, "A value in where")
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise FilterError(f"A metadata filter compares with a text, number or boolean, not {value!r}.")


def _list(value: Any, operator: str) -> Sequence[Scalar]:
    if not isinstance(value, list | tuple) or not value:
        raise FilterError(f"The operand of {operator} must be a list with at least one value.")
    return [_scalar(element) for element in value]


def _equal(key: str, value: Scalar) -> Q:
    # Containment compares numbers by value and everything else by kind and value.
    return Q(metadata__contains={key: value})


def _compare(key: str, operator: str, value: Any) -> Q:
    if operator == "$eq":
        return _equal(key, _scalar(value))
    if operator == "$ne":
        return ~_equal(key, _scalar(value))
    if operator in ("$in", "$nin"):
        found = reduce(or_, [_equal(key, element) for element in _list(value, operator)])
        return found if operator == "$in" else ~found
    if operator in ("$contains", "$not_contains"):
        listed = _listed(key, _scalar(value))
        return listed if operator == "$contains" else ~listed
    if operator not in _COMPARISONS:
        known = ", ".join(
            ["$eq", "$ne", "$in", "$nin", *_COMPARISONS, "$contains", "$not_contains"]
        )
        raise FilterError(f"{operator} is no operator of where: use one of {known}.")
    if isinstance(value, bool) or not isinstance(_scalar(value), int | float):
        raise FilterError(f"{operator} compares with a number, not {value!r}.")
    return _ordered(key, _COMPARISONS[operator], value)


def _listed(key: str, value: Scalar) -> Q:
    """Items whose list has the value. Unlike elsewhere an integer is no float to Chroma here."""
    found = Q(metadata__contains={key: [value]})
    if isinstance(value, bool) or not isinstance(value, int | float):
        return found
    # A list has one type, and each float of it is spelled with a point.
    floats = Q(_HasPoint(F("metadata"), Value(key)))
    return found & floats if isinstance(value, float) else found & ~floats


def _ordered(key: str, symbol: str, value: float) -> Q:
    # Strict: a list is not compared by its elements. Silent: a missing key is no error then.
    path = f"strict $.{json.dumps(key)} ? (@ {symbol} $value)"
    variables = MetadataEncoder().encode({"value": value})
    exists = _PathExists(
        F("metadata"),
        Func(Value(path), template="(%(expressions)s)::jsonpath"),
        Func(Value(variables), template="(%(expressions)s)::jsonb"),
        Value(True),
    )
    return Q(Coalesce(exists, Value(False)))
