"""Errors with the names that chromadb.errors gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError

from vector import models
from vector.serving.filters import FilterError
from vector.serving.given_values import CollectionExists, CollectionMissing, VectorError


class ChromaError(Exception):
    """What all errors of this client are."""


class InvalidArgumentError(ChromaError, ValueError):
    """An argument that cannot be used. Chroma's own checks raise ValueError: this is one, too."""


class DuplicateIDError(InvalidArgumentError):
    """An id that is given twice in one call."""


class NotFoundError(ChromaError):
    """A collection that is not there, or not there any more."""


class InternalError(ChromaError):
    """What chromadb 1.4 raises for a name that is taken."""


class UniqueConstraintError(InternalError):
    """The name of a collection that is taken."""


class AuthorizationError(ChromaError):
    """A call that is not allowed."""


@contextmanager
def translated() -> Iterator[None]:
    """Errors of `vector.services` as Chroma's, with the same sentence."""
    try:
        yield
    except CollectionMissing as error:
        raise NotFoundError(str(error)) from error
    except CollectionExists as error:
        raise UniqueConstraintError(str(error)) from error
    except (IntegrityError, models.Collection.DoesNotExist) as error:
        raise NotFoundError("The collection was deleted by another meanwhile.") from error
    except (VectorError, FilterError) as error:
        raise InvalidArgumentError(str(error)) from error
