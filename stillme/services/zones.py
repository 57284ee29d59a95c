"""What LEGACY_TIME_ZONE may say: `auto`, or the name of a time zone that is known here."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

AUTO = "auto"


def known_zone(given: str) -> str | None:
    """None for `auto`, the name of a known IANA zone otherwise. Raises ValueError, a sentence."""
    name = given.strip()
    if name.lower() in ("", AUTO):
        return None
    if _is_known(name):
        return name
    if not _is_known("UTC"):
        raise ValueError(
            "This machine knows no time zones: install its package tzdata, or run "
            "`pip install tzdata`."
        )
    raise ValueError(
        f"LEGACY_TIME_ZONE={name!r} is no IANA time zone: set it to a name such as "
        "Asia/Ho_Chi_Minh, or to auto."
    )


def _is_known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
