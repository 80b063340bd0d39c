"""What each codec costs in quality: rows of ``reference/codecs.csv``, alone or in tandem.

Impairments are only comparable on one scale. A tandem (``opus+g711``: the agent's leg, then the telephone
network) adds the impairments; packets are lost on the first codec's leg, so its robustness counts.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

from ccp_assess.errors import ReferenceFactError, quoted

Scale = Literal["narrowband", "wideband", "fullband"]
"""Which E-model a rating belongs to: G.107, G.107.1 or G.107.2. Ratings of two scales are never compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """What the E-model needs to know of a codec.

    Parameters
    ----------
    name
        As given on the command line; a tandem joins its parts with ``+``.
    scale
        The scale its impairment was rated on.
    ie
        Equipment impairment without loss [unitless].
    bpl
        Packet-loss robustness under random loss [unitless].
    bpl_bursty
        The same as rated under bursty loss, where it was; for comparison, since ``BurstR`` already
        carries burstiness in the formula [unitless].
    packetization_ms
        Length of speech in one packet [ms].
    lookahead_ms
        Further delay of the encoder [ms].
    note
        What a reader must know before relying on the row.
    source
        Where the values were read.
    retrieved
        When (ISO date).
    """

    name: str
    scale: Scale
    ie: float
    bpl: float
    bpl_bursty: float | None
    packetization_ms: float
    lookahead_ms: float
    note: str
    source: str
    retrieved: str


@cache
def read_codecs() -> dict[str, Codec]:
    """Read all codecs of the reference table.

    Returns
    -------
    codecs
        By name, in the order of the table.

    Examples
    --------
    >>> read_codecs()["g711"].bpl
    25.1
    """
    text = resources.files("ccp_assess.reference").joinpath("codecs.csv").read_text(encoding="utf-8")
    return {row["codec"]: _codec_from_row(row) for row in csv.DictReader(text.splitlines())}


def _codec_from_row(row: dict[str, str]) -> Codec:
    return Codec(
        name=row["codec"],
        scale=cast("Scale", row["scale"]),
        ie=float(row["ie"]),
        bpl=float(row["bpl_random"]),
        bpl_bursty=float(row["bpl_bursty"]) if row["bpl_bursty"] else None,
        packetization_ms=float(row["packetization_ms"]),
        lookahead_ms=float(row["lookahead_ms"]),
        note=row["note"],
        source=row["source"],
        retrieved=row["retrieved"],
    )


@cache
def codec_by_name(name: str) -> Codec:
    """Look a codec, or a tandem of codecs, up by its name.

    Parameters
    ----------
    name
        A row of ``reference/codecs.csv``, or several joined by ``+`` in the order of the way of the speech;
        the first one is the codec of the packet leg that loses packets.

    Returns
    -------
    codec
        The codec; for a tandem the sum of the impairments and the robustness of the first.

    Raises
    ------
    ReferenceFactError
        If a part is unknown, or if the parts were rated on different scales.

    Examples
    --------
    >>> tandem = codec_by_name("opus+g711")
    >>> tandem.ie, tandem.bpl
    (2.0, 16.0)
    """
    codecs = read_codecs()
    parts = []
    for part in name.lower().replace(" ", "").split("+"):
        if part not in codecs:
            raise ReferenceFactError(f"codec {quoted(part)} is unknown; known codecs are {', '.join(codecs)}")
        parts.append(codecs[part])
    if len(parts) == 1:
        return parts[0]
    scales = {part.scale for part in parts}
    if len(scales) > 1:
        raise ReferenceFactError(
            f"codecs {name!r} were rated on different scales ({', '.join(sorted(scales))}), "
            "which cannot be added; choose parts of one scale"
        )
    first = parts[0]
    return Codec(
        name="+".join(part.name for part in parts),
        scale=first.scale,
        ie=sum(part.ie for part in parts),
        bpl=first.bpl,
        bpl_bursty=first.bpl_bursty,
        packetization_ms=first.packetization_ms,
        lookahead_ms=first.lookahead_ms,
        note="tandem: impairments add (G.107), loss falls on the first codec's leg",
        source="; ".join(dict.fromkeys(part.source for part in parts)),
        retrieved=min(part.retrieved for part in parts),
    )
