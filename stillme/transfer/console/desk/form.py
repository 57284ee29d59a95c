"""The form of the quarantine desk: edit one cell, then decide."""

from __future__ import annotations

from typing import Any

from django import forms

from stillme.pages.looks import Select, Textarea
from stillme.transfer.models import QuarantinedRow

STORAGES = [(name, name) for name in ("text", "integer", "real", "null")]
DECISIONS = [
    ("", "decide later: only save the mended cell"),
    ("retry", "retry: put the row, with its mended cells, through the import's checks again"),
    ("accept", "accept: leave the row out for good"),
]


class DeskForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an operator is asked about one row."""

    cell = forms.ChoiceField(
        required=False,
        widget=Select,
        label="Cell to mend",
        help_text="The legacy file is not touched, and the original stays in this record. To retry "
        "or to accept the row as it is, leave this empty.",
    )
    storage = forms.ChoiceField(choices=STORAGES, required=False, widget=Select, label="Stored as")
    value = forms.CharField(
        required=False,
        strip=False,
        widget=Textarea(attrs={"rows": 3}),
        label="New value",
        help_text="Of the cell to mend; nothing for null.",
    )
    decision = forms.ChoiceField(choices=DECISIONS, required=False, widget=Select)
    reason_given = forms.CharField(
        required=False,
        widget=Textarea(attrs={"rows": 3}),
        label="Reason",
        help_text="Needed to accept; kept with the row.",
    )

    class Meta:
        model = QuarantinedRow
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What was done, for the history; the desk fills it.
        self.outcome: list[str] = []
        if "cell" in self.fields:
            self.fields["cell"].choices = self._cells()  # type: ignore[attr-defined]

    def _cells(self) -> list[tuple[str, str]]:
        at_fault = self.instance.column
        names = sorted(self.instance.cells or {}, key=lambda name: name != at_fault)
        said = [(n, f"{n} (the fault is here)" if n == at_fault else n) for n in names]
        return [("", "none"), *said]

    def clean(self) -> dict[str, Any]:
        """Accepting needs a reason."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("decision") == "accept" and not given.get("reason_given", "").strip():
            self.add_error("reason_given", "Say why the row is left out.")
        return given


class AcceptForm(forms.Form):
    """The reason for many rows, asked once."""

    SELECTED, SAME = "selected", "same"

    reason_given = forms.CharField(
        widget=Textarea,
        label="Reason",
        max_length=2000,
        error_messages={"required": "Say why the rows are left out."},
    )
    scope = forms.ChoiceField(choices=[(SELECTED, ""), (SAME, "")], widget=forms.RadioSelect)
