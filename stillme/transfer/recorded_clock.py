"""The usual offset that a file was loaded with: it stays, whatever rows come later.

The loader and the judge read it from the ledger, each deciding for itself whether the file denies
it (docs/reference/values.md, "Clock of a timestamp").
"""

from __future__ import annotations

from stillme.transfer.conf import conf
from stillme.transfer.models import FileState, RunFile

_AUTO = ("", "auto")


def recorded_usual(alias: str, file: str, zone: str) -> int | None:
    """Minutes east of UTC; None where the file was never loaded, or under another zone setting."""
    wanted = None if zone.strip().lower() in _AUTO else zone
    state = FileState.objects.using(alias).filter(pk=file).first()
    noted = (state.details.get("clock") if state is not None else None) or {}
    if "usual" in noted:
        return int(noted["usual"]) if noted.get("zone") == wanted else None
    runs = RunFile.objects.using(alias).filter(file=file, run__command="import_sqlite")
    run = runs.order_by("-run_id").first()
    if run is None or "usual_minutes" not in run.clock or run.clock.get("zone") != wanted:
        return None
    return int(run.clock["usual_minutes"])


def recorded_usuals(alias: str) -> dict[str, int | None]:
    """The same for every known file, by its name."""
    files = conf().files
    return {name: recorded_usual(alias, name, files[name].time_zone) for name in files}
