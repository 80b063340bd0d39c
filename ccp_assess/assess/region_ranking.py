"""The ranking of a client folder alone: tables, traces and captures in, Regions out."""

from __future__ import annotations

from pathlib import Path

from ccp_assess.assess.evidence import read_evidence
from ccp_assess.client import read_client
from ccp_assess.selection.ranking import Ranking, rank
from ccp_assess.services import offers


def rank_client(
    folder: str | Path,
    *,
    instances: int = 1,
    draws: int = 2000,
    seed: int = 1,
    captures: bool = True,
    use_case: str | None = None,
) -> tuple[Ranking, tuple[str, ...]]:
    """Rank the Regions for a client folder.

    Parameters
    ----------
    folder
        The client folder.
    instances
        Up to how many instances (count).
    draws, seed
        How many worlds to simulate, and from which seed.
    captures
        Whether captures are read too; without them it takes a moment only.
    use_case
        ``voice``, ``video``, ``telephone_only``, ``media_less`` or ``chat``; ``None`` takes the client's own.

    Returns
    -------
    ranking
        Options best first.
    left_out
        One sentence for each file that could not be read or used.

    Raises
    ------
    CcpAssessError
        If the tables are missing or wrong.
    """
    client = read_client(Path(folder))
    evidence = read_evidence(client, captures=captures)
    ranking = rank(
        client.sites,
        client.callers,
        client.transfers,
        client.reroutes,
        evidence.measurements,
        client.constraints,
        client.weights,
        instances,
        draws=draws,
        seed=seed,
        offers=offers,
        use_case=use_case or client.use_case,
    )
    return ranking, tuple(one.text for one in evidence.left_out)
