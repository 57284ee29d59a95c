"""The form of the quarantine desk: edit one cell, then decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django import forms
from django.utils.html import format_html, format_html_join

from stillme.pages.looks import Select, Textarea
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_anything

STORAGES = [(name, name) for name in ("text", "integer", "real", "null")]
DECISIONS = [
    ("", "decide later: only save the mended cell"),
    ("retry", "retry: put the row, with its mended cells, through the import's checks again"),
    ("accept", "accept: leave the row out for good"),
]
# The reason of rows with U+0000 in a text.
NUL_IN_TEXT = "nul_in_text"
WITHOUT_NUL = ("nul", "replace: U+FFFD for each NUL in its texts, then retry")
_OTHERS = "This is the text of {}: choose that cell, or open the content of the other one."


# Bytes. What is longer is saved as a file, not shown in a form.
LONGEST = 100_000
_NOT_SHOWN = "The cell is a {} that a form does not show: what you type replaces it."
_LONG = f"The cell has more than {LONGEST:,} bytes and is not shown: what you type replaces it."
_CHANGED = (
    "The text as stored, but for what a form cannot hold: U+FFFD stands for U+0000 and for bytes "
    "that are not UTF-8, a line break for a carriage return. Saving it writes it as shown."
)


@dataclass(frozen=True, slots=True)
class ShownCell:
    """`text` as a form has it; `note` says what is lost in it, "" where nothing is."""

    storage: str
    text: str
    note: str = ""


def shown_cell(packed: Any) -> ShownCell:
    """How a form shows a cell of a quarantined row."""
    storage, raw = unpack_anything(packed)
    if raw is None:
        return ShownCell("null", "")
    if not isinstance(raw, bytes):
        return ShownCell(storage, repr(raw))
    if storage != "text":
        return ShownCell("text", "", _NOT_SHOWN.format(storage))
    if len(raw) > LONGEST:
        return ShownCell("text", "", _LONG)
    text = raw.decode("utf-8", "replace").replace("\0", "\ufffd")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return ShownCell("text", text, "" if text.encode() == raw else _CHANGED)


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
    # The cell whose content the form came with.
    came_with = forms.CharField(required=False, strip=False, widget=forms.HiddenInput, label="")
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

    # The cell that the address asks for; the one at fault where it asks for none.
    chosen = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What was done, for the history; the desk fills it.
        self.outcome: list[str] = []
        if "cell" in self.fields:
            self.fields["cell"].choices = self._cells()  # type: ignore[attr-defined]
            self._fill_in()
            if self.instance.reason == NUL_IN_TEXT:
                self.fields["decision"].choices = [*DECISIONS, WITHOUT_NUL]  # type: ignore[attr-defined]

    def _fill_in(self) -> None:
        """The cell with its content; one that a form would change is chosen by a person only."""
        name = self.chosen or self.instance.column
        if (shown := self._shown(name)) is None:
            return
        chosen = name if self.chosen or not shown.note else ""
        given = {"cell": chosen, "storage": shown.storage, "value": shown.text, "came_with": name}
        self.initial.update(given)
        links = format_html_join(
            " · ",
            '<a href="?cell={}#id_value">{}</a>',
            ((quote(c, safe=""), c) for c, _ in self._cells()[1:]),
        )
        help_text = self.fields["cell"].help_text
        self.fields["cell"].help_text = format_html(
            '{} <span class="console">Show the content of: {}</span>', help_text, links
        )
        self.fields["value"].help_text = f"Of {name}. {shown.note}"

    def _shown(self, name: str) -> ShownCell | None:
        cells = {**(self.instance.cells or {}), **(self.instance.repairs or {})}
        return shown_cell(cells[name]) if name in cells else None

    @property
    def edits(self) -> bool:
        """Whether a cell is to get another content than it has."""
        given = self.cleaned_data
        shown = self._shown(given.get("cell", ""))
        if shown is None or shown.note:
            return shown is not None
        value = "" if given["storage"] == "null" else given["value"]
        return (given["storage"], value) != (shown.storage, shown.text)

    def clean_value(self) -> str:
        """Browsers send every line break of a text as two characters."""
        return str(self.cleaned_data["value"]).replace("\r\n", "\n")

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
        came_with = given.get("came_with", "")
        if came_with and given.get("cell") not in ("", came_with):
            shown = self._shown(came_with)
            if shown is not None and given.get("value") and given["value"] == shown.text:
                self.add_error("value", _OTHERS.format(came_with))
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
