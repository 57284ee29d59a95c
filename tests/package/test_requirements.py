"""The ranges in pyproject.toml, and the pins that are tested: one release of each range."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

# File -> the one extra that it pins; None: what always runs, and all other extras.
PINS = {
    "requirements.txt": None,
    "requirements-dev.txt": "lint",
    "requirements-chromadb.txt": "chromadb",
}


def ranges(only: str | None) -> dict[str, Requirement]:
    """Name -> range, of one extra or of all that has no file of its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    if only is not None:
        return by_name(extras[only])
    own = [extra for name, extra in extras.items() if name not in PINS.values()]
    return by_name(sum(own, project["dependencies"]))


def by_name(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(given.name): given for given in map(Requirement, lines)}


def pins(file: str) -> dict[str, Requirement]:
    """Name -> pin."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return by_name([line for line in lines if line and not line.startswith("-r ")])


@pytest.mark.parametrize("file", PINS)
def test_every_pin_is_of_its_range(file: str) -> None:
    allowed, pinned = ranges(PINS[file]), pins(file)
    assert sorted(pinned) == sorted(allowed)
    for name, pin in pinned.items():
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert allowed[name].specifier.contains(exact.version), name
        assert (pin.extras, str(pin.marker)) == (allowed[name].extras, str(allowed[name].marker))


@pytest.mark.parametrize("line", ["orjson==3.11.4", "pytest==9.0.1"])
def test_what_the_old_application_pins_is_allowed(line: str) -> None:
    """Or the two could not be installed into one environment."""
    theirs = Requirement(line)
    (exact,) = theirs.specifier
    assert ranges(None)[theirs.name].specifier.contains(exact.version)
