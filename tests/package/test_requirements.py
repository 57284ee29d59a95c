"""The ranges in pyproject.toml, and the pins that are tested: one release of each range."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PINS = ("requirements.txt", "requirements-dev.txt")
# Which file pins what: `.ci/run` installs both, README.md's commands the first.
LINT = "lint"


def ranges(*, lint: bool) -> dict[str, Requirement]:
    """Name -> range, of what runs and is tested, or of the linters."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = extras[LINT] if lint else [*project["dependencies"]]
    if not lint:
        lines += [line for name, extra in extras.items() if name != LINT for line in extra]
    return {canonicalize_name(given.name): given for given in map(Requirement, lines)}


def pins(file: str) -> dict[str, Requirement]:
    """Name -> pin."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-r ")]
    return {canonicalize_name(given.name): given for given in found}


@pytest.mark.parametrize("file", PINS)
def test_every_pin_is_of_its_range(file: str) -> None:
    allowed, pinned = ranges(lint=file != PINS[0]), pins(file)
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
    assert ranges(lint=False)[theirs.name].specifier.contains(exact.version)
