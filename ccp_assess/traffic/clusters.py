"""Streams to calls: which of them belong together.

Streams that overlap in time on one path are one call; two overlapping streams in *both* directions are two calls at
once; a call that moves to another path keeps its SSRCs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.evidence import Evidence, EvidenceIndex, agent_of
from ccp_assess.traffic.relaypaths import PathKey
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.units import NS_PER_S

_OVERLAP_NS = NS_PER_S
_SIMULTANEOUS_NS = 3 * NS_PER_S
_ONE_WAY_GAP_NS = 5 * NS_PER_S
_SAME_SSRC_GAP_NS = 30 * NS_PER_S
_FAR = np.iinfo(np.int64).max


@dataclass(slots=True)
class Cluster:
    """Streams of one call while it is put together."""

    streams: list[int]
    paths: list[PathKey]
    first_ns: int
    last_ns: int


def path_of(evidence: Evidence, stream: RtpStream) -> PathKey:
    """Tell which path a stream took.

    Parameters
    ----------
    evidence
        What was found in a capture.
    stream
        A stream.

    Returns
    -------
    path
        Of its last packet.
    """
    if stream.relay == "none":
        return PathKey(stream.flow, "")
    # The binding at the end of the stream is the one that carried it: the first packets went before ChannelBind.
    return evidence.paths.key(stream.flow, stream.channel_number or 0, stream.peer, stream.last_ns)


def find_clusters(evidence: Evidence, index: EvidenceIndex) -> list[Cluster]:
    """Bring streams together that are one call.

    Parameters
    ----------
    evidence
        What was found in a capture.
    index
        The same by flow and path.

    Returns
    -------
    clusters
        By first packet.
    """
    by_path: dict[PathKey, list[int]] = defaultdict(list)
    for number, stream in enumerate(evidence.streams):
        by_path[path_of(evidence, stream)].append(number)
    clusters: list[Cluster] = []
    for path in sorted(by_path):
        for numbers in _split_by_time(evidence.streams, by_path[path]):
            clusters.extend(
                Cluster(
                    streams=part,
                    paths=[path],
                    first_ns=min(min(evidence.streams[n].first_ns, evidence.streams[n].last_ns) for n in part),
                    last_ns=max(max(evidence.streams[n].first_ns, evidence.streams[n].last_ns) for n in part),
                )
                for part in _split_simultaneous(evidence.streams, numbers)
            )
    clusters.sort(key=lambda cluster: (cluster.first_ns, cluster.paths))
    clusters = _join_one_way(evidence, clusters, index)
    clusters = _join_same_ssrc(evidence, clusters)
    return sorted(clusters, key=lambda cluster: (cluster.first_ns, cluster.paths))


def _split_by_time(streams: Sequence[RtpStream], numbers: Iterable[int]) -> list[list[int]]:
    """Streams that overlap belong together; a tail of some packets into the next call is no overlap."""
    groups: list[list[int]] = []
    end = 0
    for number in sorted(numbers, key=lambda n: (streams[n].first_ns, n)):
        stream = streams[number]
        needed = min(_OVERLAP_NS, (stream.last_ns - stream.first_ns) // 2)
        if groups and end - stream.first_ns >= needed:
            groups[-1].append(number)
            end = max(end, stream.last_ns)
        else:
            groups.append([number])
            end = stream.last_ns
    return groups


def _overlap(a: RtpStream, b: RtpStream) -> int:
    return min(a.last_ns, b.last_ns) - max(a.first_ns, b.first_ns)


def is_main(stream: RtpStream) -> bool:
    """Tell media from retransmissions of it.

    Parameters
    ----------
    stream
        A stream.

    Returns
    -------
    is_main
        False for an RTX stream.
    """
    return not stream.is_retransmission


def _split_simultaneous(streams: Sequence[RtpStream], numbers: list[int]) -> list[list[int]]:
    """Two calls at once on one path show as two overlapping streams in *both* directions."""
    sides = {
        side: [n for n in numbers if streams[n].outbound_of_key is side and is_main(streams[n])]
        for side in (True, False)
    }
    if not all(_are_at_once(streams, side) for side in sides.values()):
        return [numbers]
    pairs: list[list[int]] = []
    left = sides[False]
    times = _times(streams, left)
    is_left = np.ones(len(left), np.bool_)
    for number in sides[True]:
        stream = streams[number]
        apart = np.where(is_left, _distances(stream, times), _FAR)
        best = int(np.argmin(apart))
        if not is_left[best] or _overlap(stream, streams[left[best]]) < 0:
            pairs.append([number])
        else:
            is_left[best] = False
            pairs.append([number, left[best]])
    others = [n for n, free in zip(left, is_left.tolist(), strict=True) if free]
    others += [n for n in numbers if not is_main(streams[n])]
    members = [n for pair in pairs for n in pair]
    pair_of = np.array([k for k, pair in enumerate(pairs) for _ in pair] + [0] * len(others))
    times = _times(streams, members + others)
    for place, number in enumerate(others, len(members)):
        apart = _distances(streams[number], times[:, :place])
        pair_of[place] = nearest = pair_of[:place][apart == apart.min()].min()
        pairs[nearest].append(number)
    return [sorted(pair) for pair in pairs]


def _times(streams: Sequence[RtpStream], numbers: list[int]) -> npt.NDArray[np.int64]:
    return np.array([[streams[n].first_ns for n in numbers], [streams[n].last_ns for n in numbers]], np.int64)


def _distances(stream: RtpStream, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How far apart streams begin and end, together."""
    distances: npt.NDArray[np.int64] = np.abs(times[0] - stream.first_ns) + np.abs(times[1] - stream.last_ns)
    return distances


def _are_at_once(streams: Sequence[RtpStream], numbers: list[int]) -> bool:
    """Tell whether two streams of one payload type went on at the same time for long."""
    latest: dict[int, int] = {}
    for number in sorted(numbers, key=lambda n: streams[n].first_ns):
        stream = streams[number]
        last_ns = latest.get(stream.payload_type)
        if last_ns is not None and min(last_ns, stream.last_ns) - stream.first_ns >= _SIMULTANEOUS_NS:
            return True
        latest[stream.payload_type] = stream.last_ns if last_ns is None else max(last_ns, stream.last_ns)
    return False


def _join_one_way(evidence: Evidence, clusters: list[Cluster], index: EvidenceIndex) -> list[Cluster]:
    """Join what is one call in two halves: plain RTP on two 5-tuples, or one direction that starts after the other."""
    result: list[Cluster] = []
    halves: dict[tuple[str, str], list[Cluster]] = defaultdict(list)  # clusters of one direction by their ends
    for cluster in clusters:
        ends = {(evidence.streams[n].src, evidence.streams[n].dst) for n in cluster.streams}
        end = next(iter(ends))
        candidates = _not_before(halves[end[::-1]], cluster.first_ns - _ONE_WAY_GAP_NS) if len(ends) == 1 else []
        partner = next((c for c in reversed(candidates) if _is_other_half(index, c, cluster)), None)
        if partner is not None:
            candidates.remove(partner)  # it is whole now
            _absorb(partner, cluster)
            continue
        result.append(cluster)
        if len(ends) == 1:
            halves[end].append(cluster)
    return result


def _not_before(clusters: list[Cluster], time_ns: int) -> list[Cluster]:
    """Forget clusters that ended before an instant: what is joined comes in order of time, so none will need them."""
    if any(cluster.last_ns < time_ns for cluster in clusters):
        clusters[:] = [cluster for cluster in clusters if cluster.last_ns >= time_ns]
    return clusters


def _is_other_half(index: EvidenceIndex, a: Cluster, b: Cluster) -> bool:
    if a.paths == b.paths:  # one direction, then the other, with a short pause between and no new keys
        if b.first_ns - a.last_ns > _ONE_WAY_GAP_NS:
            return False
        keyed = (h.started_ns for path in b.paths for h in index.handshakes.get(path, ()))
        return not any(a.last_ns < started_ns <= b.first_ns for started_ns in keyed)
    if a.paths[0].peer or b.paths[0].peer:
        return False
    overlap = min(a.last_ns, b.last_ns) - max(a.first_ns, b.first_ns)
    return overlap * 2 >= min(a.last_ns - a.first_ns, b.last_ns - b.first_ns)


def _join_same_ssrc(evidence: Evidence, clusters: list[Cluster]) -> list[Cluster]:
    """One call that moved to another relay or channel keeps its SSRCs."""
    result: list[Cluster] = []
    by_mark: dict[tuple[int, str], list[Cluster]] = defaultdict(list)
    for cluster in clusters:
        marks = _marks(evidence, cluster)
        since_ns = cluster.first_ns - _SAME_SSRC_GAP_NS
        candidates = [c for mark in sorted(marks) for c in _not_before(by_mark[mark], since_ns)]
        before = next((c for c in reversed(candidates) if _moved(c, cluster)), None)
        if before is None:
            result.append(cluster)
        else:
            _absorb(before, cluster)
        for mark in marks:
            by_mark[mark].append(before or cluster)
    return result


def _marks(evidence: Evidence, cluster: Cluster) -> set[tuple[int, str]]:
    found = set()
    for number in cluster.streams:
        stream = evidence.streams[number]
        agent, _ = agent_of(evidence, stream.flow)
        if agent is not None:
            found.add((stream.ssrc, agent))
    return found


def _moved(a: Cluster, b: Cluster) -> bool:
    gap = b.first_ns - a.last_ns
    return -_OVERLAP_NS <= gap <= _SAME_SSRC_GAP_NS and a.paths[-1] != b.paths[0]


def _absorb(target: Cluster, other: Cluster) -> None:
    target.streams = sorted({*target.streams, *other.streams})
    target.paths += [path for path in other.paths if path not in target.paths]
    target.first_ns = min(target.first_ns, other.first_ns)
    target.last_ns = max(target.last_ns, other.last_ns)
