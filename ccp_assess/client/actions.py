"""Who agreed to mend what by when: ``actions.csv`` of a client folder, one row for each agreement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ccp_assess.client.locating import child_of
from ccp_assess.csvtext import Row, optional_text, read_rows, text

FILE = "actions.csv"
COLUMNS = ("code", "site_id", "owner", "due")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedAction:
    """What was agreed about a kind of finding.

    Parameters
    ----------
    code
        The finding's code, such as ``FIREWALL_RULE_MISSING``.
    site_id
        The site it was agreed for; ``None`` for every place where the finding shows.
    owner
        Who does it; ``None`` if that was not agreed.
    due
        By when; ``None`` if that was not agreed.
    """

    code: str
    site_id: str | None
    owner: str | None
    due: date | None


def read_actions(folder: str | Path) -> tuple[AgreedAction, ...]:
    """Read the agreed actions of a client folder.

    Parameters
    ----------
    folder
        The client folder.

    Returns
    -------
    actions
        In the order of the file; empty where there is none.

    Raises
    ------
    TableError
        If the file is no such table, or a day is no date.
    """
    path = child_of(Path(folder), FILE)
    if path is None or not path.read_bytes().strip():
        return ()
    return tuple(_action(row) for row in read_rows(path, name=FILE, required=("code",)))


def _action(row: Row) -> AgreedAction:
    day = optional_text(row, "due")
    try:
        due = date.fromisoformat(day) if day else None
    except ValueError:
        raise row.wrong("due", f"{day!r:.40} is no day; write it as in 2026-12-24") from None
    return AgreedAction(
        code=text(row, "code").upper(),
        site_id=optional_text(row, "site_id"),
        owner=optional_text(row, "owner"),
        due=due,
    )


def agreed_for(actions: tuple[AgreedAction, ...], code: str, site_id: str | None) -> AgreedAction | None:
    """Return what was agreed about a finding; an agreement for its own site counts before one for all.

    Parameters
    ----------
    actions
        Of the client.
    code, site_id
        Of the finding.

    Returns
    -------
    action
        ``None`` if nothing was agreed.

    Examples
    --------
    >>> everywhere = AgreedAction(code="LOSS_INBOUND", site_id=None, owner="Ann", due=None)
    >>> agreed_for((everywhere,), "LOSS_INBOUND", "LIS").owner
    'Ann'
    """
    fitting = [action for action in actions if action.code == code.upper() and action.site_id in {None, site_id}]
    return max(fitting, key=lambda action: action.site_id is not None, default=None)
