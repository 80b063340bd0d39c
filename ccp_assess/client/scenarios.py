"""Named scenarios of a workshop: weights and constraints that were tried, kept in the client folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccp_assess.client.locating import child_of
from ccp_assess.errors import CcpAssessError, TableError
from ccp_assess.files import write_whole
from ccp_assess.selection.options import Constraints, Weights, known_regions
from ccp_assess.shapes import has_shape, parse_json

FILE = "scenarios.json"
LONGEST_NAME = 80
_WEIGHTS = ("agents", "callers", "transfers", "hops")
_LISTS = ("allowed_regions", "excluded_regions", "residency", "services")
_SHAPE = {
    "scenarios": [
        {
            "name": str,
            "saved": str,
            "weights": {str: float},
            "constraints": dict.fromkeys(_LISTS, ([str], None)),
        }
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Weights and constraints under a name.

    Parameters
    ----------
    name
        For people, unique in the folder without regard to case.
    saved
        When it was saved (RFC 3339, UTC).
    weights, constraints
        What the ranking is asked with.
    """

    name: str
    saved: str
    weights: Weights
    constraints: Constraints


def read_scenarios(folder: str | Path) -> tuple[Scenario, ...]:
    """Read the scenarios of a client folder.

    Parameters
    ----------
    folder
        The client folder.

    Returns
    -------
    scenarios
        In the order in which they were saved first; empty where there are none.

    Raises
    ------
    TableError
        If the file holds something else.
    """
    path = child_of(Path(folder), FILE)
    if path is None:
        return ()
    reason = "it is not what this toolkit writes"
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        if has_shape(document, _SHAPE):
            return tuple(_scenario(row) for row in document["scenarios"])
    except CcpAssessError as error:
        reason = f"{error}"
    except (OSError, ValueError):
        pass
    raise TableError(f"the scenarios cannot be read ({reason}); mend or delete the file", file=FILE)


def _scenario(row: dict[str, Any]) -> Scenario:
    weights, constraints = row["weights"], row["constraints"]
    allowed, excluded, residency, services = (tuple(constraints.get(name) or ()) for name in _LISTS)
    known_regions((*allowed, *excluded))
    return Scenario(
        name=_line(row["name"]),
        saved=_line(row["saved"]),
        weights=Weights(**{name: float(weights[name]) for name in _WEIGHTS if name in weights}).checked(),
        constraints=Constraints(
            allowed_regions=allowed,
            excluded_regions=excluded,
            residency=residency,
            services=services,
            resiliency_pair=constraints.get("resiliency_pair") is True,
            govcloud=constraints.get("govcloud") is True,
        ),
    )


def save_scenario(
    folder: str | Path, name: str, weights: Weights, constraints: Constraints, *, now: datetime | None = None
) -> tuple[Scenario, ...]:
    """Keep a scenario in a client folder; one of the same name is replaced.

    Parameters
    ----------
    folder
        The client folder.
    name
        For people.
    weights, constraints
        What the ranking is asked with.
    now
        When; this moment if ``None``.

    Returns
    -------
    scenarios
        All of the folder.

    Raises
    ------
    TableError
        If the name is empty, or the file cannot be read or written.
    """
    plain = _line(name)
    if not plain:
        raise TableError("give the scenario a name", file=FILE)
    moment = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    added = Scenario(name=plain, saved=moment, weights=weights, constraints=constraints)
    kept = {scenario.name.casefold(): scenario for scenario in read_scenarios(folder)}
    kept[plain.casefold()] = added
    return _write(Path(folder), tuple(kept.values()))


def _line(words: str) -> str:
    """Return a text in one line that can be written again: half a character of JSON's cannot."""
    return " ".join(words.encode("utf-8", "replace").decode("utf-8").split())[:LONGEST_NAME]


def delete_scenario(folder: str | Path, name: str) -> tuple[Scenario, ...]:
    """Take a scenario out of a client folder.

    Parameters
    ----------
    folder
        The client folder.
    name
        Of the scenario.

    Returns
    -------
    scenarios
        Those that are left.

    Raises
    ------
    TableError
        If the file cannot be read or written.
    """
    left = tuple(scenario for scenario in read_scenarios(folder) if scenario.name.casefold() != name.casefold())
    return _write(Path(folder), left)


def _write(folder: Path, scenarios: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
    document = {"scenarios": [asdict(scenario) for scenario in scenarios]}
    try:
        write_whole(
            child_of(folder, FILE) or folder / FILE, json.dumps(document, ensure_ascii=False, indent=1, default=list)
        )
    except OSError as error:
        raise TableError(f"the file cannot be written ({error.strerror})", file=FILE) from None
    return scenarios
