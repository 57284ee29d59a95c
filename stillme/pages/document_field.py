"""A form's field for a JSON document that PostgreSQL can hold and Python reads back."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from stillme.services.arguments import document

_NOT_HELD = (
    "The database cannot hold this document as it is: NaN, an infinite number, U+0000 or half of "
    "a surrogate pair is in it."
)


class DocumentField(forms.JSONField):
    """Django's, which takes all that Python's parser takes: PostgreSQL refused the row then."""

    def to_python(self, value: Any) -> Any:
        """The document. Raises ValidationError."""
        try:
            found = super().to_python(value)
            is_held = not found or json.dumps(document(found)) == json.dumps(found)
        except RecursionError as error:
            raise ValidationError("The document is nested too deep.") from error
        except ValueError as error:
            raise ValidationError(str(error)) from error
        if not is_held:
            raise ValidationError(_NOT_HELD)
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, as it was typed: Django reads it once more."""
        return initial if self.disabled or data is None else InvalidJSONInput(data)
