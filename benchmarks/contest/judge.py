"""What the judge says about a tool's table: rows lost, values changed, whatever else it found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contest.ground import TABLE
from benchmarks.contest.server import manage

if TYPE_CHECKING:
    from benchmarks.contest.ground import Ground


@dataclass(frozen=True)
class Judged:
    """`lost`: neither in the target nor set aside. `changed`: cells that hold another value."""

    rows: int
    lost: int
    changed: int
    set_aside: int
    others: dict[str, int]


def judge(ground: Ground) -> Judged:
    """Run `verify_migration`, which shares nothing with any loader, on the scratch database."""
    environment = {
        "DATABASE_URL": ground.server.url(),
        "LEGACY_DATA_DIR": str(ground.folder),
    }
    said = manage("verify_migration", "--table", TABLE, "--format", "json", env=environment)
    answer = json.loads(said)
    table = next(each for each in answer["tables"] if each["table"] == TABLE)
    kinds = dict(answer["findings_by_kind"])
    set_aside = quarantined(ground)
    return Judged(
        rows=int(table["legacy_rows"]),
        lost=int(table["legacy_rows"]) - int(table["target_rows"]) - set_aside,
        changed=int(kinds.pop("value", 0)),
        set_aside=set_aside,
        others=kinds,
    )


def quarantined(ground: Ground) -> int:
    """Rows that were set aside whole, with a reason. Only this project does that."""
    with ground.server.connect() as target:
        found = target.execute("SELECT count(*) FROM transfer.quarantined_row").fetchone()
    return int(found[0]) if found else 0
