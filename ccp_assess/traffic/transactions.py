"""STUN and TURN transactions: request joined to response, at both levels, in columns.

Connectivity checks come by the hundred thousand in a long capture, so they are joined as columns; one row of
`TRANSACTION_ROW` is one transaction. Level and direction decide what a round trip means: outside the relayed data it is
workstation ↔ relay, inside and asked by us it is workstation ↔ media server, inside and asked by the other side it
shows the local stack only.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.datagram import STUN_ROW
from ccp_assess.wire.stun import METHOD_NAMES

SUCCESS, ERROR, NO_ANSWER = 0, 1, 2
OUTCOME_NAMES = ("success", "error", "no_answer")

TRANSACTION_ROW = np.dtype(
    [
        ("time_ns", np.int64),  # first request
        ("answer_ns", np.int64),  # first response, -1 if none came
        ("rtt_ms", np.float64),  # NaN if unanswered or if the request was sent again (Karn)
        ("frame", np.int64),  # frame of the first request
        ("flow", np.int32),  # index into the flows
        ("peer", np.int32),  # index into the peers where the request was inside an indication, else -1
        ("channel", np.uint16),  # channel that the request was inside, else 0
        ("method", np.uint16),  # 12-bit method
        ("error_code", np.uint16),  # of an error response, else 0
        ("retransmissions", np.uint32),  # requests beyond the first
        ("outcome", np.uint8),  # SUCCESS, ERROR or NO_ANSWER
        ("inside", np.bool_),  # inside ChannelData or an indication
        ("outbound_of_key", np.bool_),  # the request went from flow.a to flow.b
        ("over_tcp", np.bool_),  # taken out of a TCP byte stream
    ],
    align=True,
)
"""One transaction."""

Rows = npt.NDArray[np.void]
_REQUEST, _SUCCESS_CLASS, _ERROR_CLASS = 0, 2, 3


def method_of(message_types: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Take the method out of message types (RFC 8489, section 5).

    Parameters
    ----------
    message_types
        First two bytes of each message.

    Returns
    -------
    methods
        12-bit methods.
    """
    t = message_types.astype(np.uint16)
    return ((t & 0x3E00) >> 2 | (t & 0x00E0) >> 1 | (t & 0x000F)).astype(np.uint16)


def class_of(message_types: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Take the class out of message types.

    Parameters
    ----------
    message_types
        First two bytes of each message.

    Returns
    -------
    classes
        0 request, 1 indication, 2 success, 3 error.
    """
    t = message_types.astype(np.uint16)
    return ((t & 0x0100) >> 7 | (t & 0x0010) >> 4).astype(np.uint8)


def join_transactions(stun: Rows) -> Rows:
    """Join requests and responses.

    Parameters
    ----------
    stun
        Rows of `STUN_ROW`, in any order.

    Returns
    -------
    transactions
        Rows of `TRANSACTION_ROW` in order of the first request. A response is one that travels against its request on
        the same flow at the same level with the same transaction identifier and method; responses to requests that
        the capture does not hold are left out.
    """
    if not len(stun):
        return np.zeros(0, TRANSACTION_ROW)
    if stun.dtype != STUN_ROW:
        raise TypeError("join_transactions takes rows of STUN_ROW")
    classes, methods = class_of(stun["message_type"]), method_of(stun["message_type"])
    inside = (stun["channel"] != 0) | (stun["peer"] >= 0)
    # What the request's direction is, or would be for a response.
    asked_outbound = stun["outbound_of_key"] ^ (classes >= _SUCCESS_CLASS)
    # Method, level and direction in one number: fewer columns to sort by.
    kind = (stun["flow"].astype(np.int64) << 16) | (methods.astype(np.int64) << 2) | (inside * 2) | asked_outbound
    order = np.flatnonzero(classes != 1)
    if not len(order):
        return np.zeros(0, TRANSACTION_ROW)
    times, frames = stun["time_ns"][order], stun["frame"][order]
    if (times[1:] < times[:-1]).any() or (frames[1:] < frames[:-1]).any():
        order = order[np.lexsort((frames, times))]
    columns = (stun["transaction_low"], stun["transaction_high"], kind)
    order = order[np.lexsort([column[order] for column in columns])]
    key_changes = np.zeros(len(order), np.bool_)
    key_changes[0] = True
    for column in columns:
        ordered = column[order]
        key_changes[1:] |= ordered[1:] != ordered[:-1]
    group = np.cumsum(key_changes) - 1
    return _one_row_per_group(stun, order, group, classes=classes, methods=methods, inside=inside)


def _one_row_per_group(
    stun: Rows,
    order: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    *,
    classes: npt.NDArray[np.uint8],
    methods: npt.NDArray[np.uint16],
    inside: npt.NDArray[np.bool_],
) -> Rows:
    count = int(group[-1]) + 1
    is_request = classes[order] == _REQUEST
    requests = np.bincount(group[is_request], minlength=count)
    first_request = np.full(count, -1, np.int64)
    positions = np.flatnonzero(is_request)[::-1]  # the earliest is written last and stays
    first_request[group[positions]] = order[positions]
    asked = first_request >= 0
    # Only a response that comes after the first request answers it.
    request_time = np.where(asked, stun["time_ns"][first_request], np.iinfo(np.int64).max)
    answers = ~is_request & (stun["time_ns"][order] >= request_time[group])
    first_answer = np.full(count, -1, np.int64)
    positions = np.flatnonzero(answers)[::-1]
    first_answer[group[positions]] = order[positions]

    request, answer = first_request[asked], first_answer[asked]
    rows = np.zeros(len(request), TRANSACTION_ROW)
    for name in ("time_ns", "frame", "flow", "peer", "channel", "outbound_of_key", "over_tcp"):
        rows[name] = stun[name][request]
    rows["method"] = methods[request]
    rows["inside"] = inside[request]
    rows["retransmissions"] = requests[asked] - 1
    answered = answer >= 0
    rows["answer_ns"] = np.where(answered, stun["time_ns"][answer], -1)
    is_error = answered & (classes[answer] == _ERROR_CLASS)
    rows["outcome"] = np.select([~answered, is_error], [NO_ANSWER, ERROR], SUCCESS)
    rows["error_code"] = np.where(is_error, stun["error_code"][answer], 0)
    rtt_ms = (rows["answer_ns"] - rows["time_ns"]) / 1e6
    rows["rtt_ms"] = np.where(answered & (rows["retransmissions"] == 0), rtt_ms, np.nan)
    return rows[np.lexsort((rows["frame"], rows["time_ns"]))]


def method_name(method: int) -> str:
    """Name a method as the JSON contract does.

    Parameters
    ----------
    method
        12-bit method.

    Returns
    -------
    name
        Such as ``create_permission``; ``method_0x123`` for an unknown one.
    """
    return METHOD_NAMES.get(method, f"method_0x{method:03x}")


def nearest_rank(known: npt.NDArray[np.float64], percent: float) -> float | None:
    """Give a nearest-rank percentile.

    Parameters
    ----------
    known
        Ascending, without NaN.
    percent
        Above 0 up to 100 [%].

    Returns
    -------
    value
        An element of ``known``; ``None`` without values.

    Examples
    --------
    >>> nearest_rank(np.array([15.0, 20.0, 35.0, 40.0, 50.0]), 30)
    20.0
    """
    if not len(known):
        return None
    rank = ceil(percent / 100 * len(known) - 1e-9)
    return float(known[min(max(rank, 1), len(known)) - 1])
