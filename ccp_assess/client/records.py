"""What a client folder holds, once it is read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ccp_assess.client.actions import AgreedAction
from ccp_assess.client.decisions import Decision
from ccp_assess.selection.options import Constraints, Weights
from ccp_assess.sites import CallerOrigin, Reroute, Site, TransferTarget
from ccp_assess.tables import COLUMNS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFile:
    """A file of evidence and the site that it belongs to.

    Parameters
    ----------
    site_id
        The site; ``None`` where neither folder nor name nor content says.
    path
        The file.
    """

    site_id: str | None
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client folder as read.

    Parameters
    ----------
    name
        The client's name; that of the folder where ``client.toml`` gives none.
    date
        Day of the assessment (ISO date), if given.
    folder
        Where it was read from.
    sites, callers, transfers, reroutes
        The tables, in the order of the rows.
    use_case
        What the instance is for: ``voice``, ``video``, ``telephone_only``, ``media_less`` or ``chat``.
    constraints, weights
        What the client allows, and what matters to it.
    captures, probes, logs, rules
        Files of evidence, each with its site where that is known.
    decisions
        The decision log of ``decisions.csv``, in the order of its rows.
    actions
        What was agreed about findings in ``actions.csv``.
    unknowns
        What is missing and what that means, one sentence each.
    notes
        How the folder was read where a reader might expect otherwise, one sentence each.
    extras
        Columns that are not ours, by table: one mapping of column to text for each row.
    """

    name: str
    date: str | None = None
    folder: Path
    sites: tuple[Site, ...]
    callers: tuple[CallerOrigin, ...] = ()
    transfers: tuple[TransferTarget, ...] = ()
    reroutes: tuple[Reroute, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)
    weights: Weights = field(default_factory=Weights)
    use_case: str = "voice"
    captures: tuple[ClientFile, ...] = ()
    probes: tuple[ClientFile, ...] = ()
    logs: tuple[ClientFile, ...] = ()
    rules: tuple[ClientFile, ...] = ()
    decisions: tuple[Decision, ...] = ()
    actions: tuple[AgreedAction, ...] = ()
    unknowns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    extras: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)

    @property
    def agents(self) -> int:
        """Agents of all sites (count)."""
        return sum(site.agents for site in self.sites)

    def to_frame(self, table: str = "sites") -> pd.DataFrame:
        """Return one table of the client.

        Parameters
        ----------
        table
            ``sites``, ``callers``, ``transfers``, ``reroutes`` or ``files``.

        Returns
        -------
        frame
            One row per site, origin, target, reroute or file; the client's own columns stand last.

        Raises
        ------
        KeyError
            If there is no such table.
        """
        import pandas as pd  # noqa: PLC0415 - half a second that the command line need not pay

        from ccp_assess.client.frames import records_of  # noqa: PLC0415 - needed for tables only

        frame = pd.DataFrame(records_of(self, table))
        numbers = [name for name in frame if name in COLUMNS and COLUMNS[name].kind == "number"]
        return frame.astype(dict.fromkeys(numbers, "float64"))  # unknown is NaN

    def _repr_html_(self) -> str:
        """Return the client as a small piece of HTML for notebooks."""
        counts = (
            f"{len(self.sites)} sites with {self.agents} agents, {len(self.callers)} caller origins, "
            f"{len(self.transfers)} transfer targets, {len(self.captures)} captures, {len(self.probes)} probe files"
        )
        unknown = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.unknowns)
        when = f" ({escape(self.date)})" if self.date else ""
        return (
            f'<div><strong dir="auto">{escape(self.name)}</strong>{when}<p>{counts}.</p>'
            + (f"<p>Unknown:</p><ul>{unknown}</ul>" if unknown else "")
            + "</div>"
        )
