"""When packets were lost: an episode is named by its seconds, loss spread by chance is not called one."""

from types import SimpleNamespace

import numpy as np
import pytest
from builders import make_flow, make_seconds, make_stream, seconds

from ccp_assess.traffic.callrecords import Call, Relay, RoundTrips
from ccp_assess.traffic.callview import CallView
from ccp_assess.traffic.findings import call_findings
from ccp_assess.traffic.losswindows import find_loss_window
from ccp_assess.traffic.streams import SECOND_ROW
from ccp_assess.traffic.transactions import join_transactions

PACKETS = 50


def stream_of(is_lost):
    count = len(is_lost) // PACKETS
    rows = np.zeros(count, SECOND_ROW)
    rows["lost"] = is_lost[: count * PACKETS].reshape(count, PACKETS).sum(axis=1)
    rows["packets"] = PACKETS - rows["lost"]
    rows["time_ns"] = seconds(0) + np.arange(count) * 1_000_000_000
    bursts = int((np.diff(np.concatenate([[0], is_lost.astype(int)])) == 1).sum())
    return SimpleNamespace(seconds=rows, lost=int(is_lost.sum()), loss_bursts=bursts)


def call_with(lost_by_second, *, start=0.0):
    lost = np.array(lost_by_second)
    rows = make_seconds(0, len(lost), lost=lost, packets=50 - lost)
    total, expected = int(lost.sum()), 50 * len(lost)
    stream = make_stream(
        first=0, last=len(lost), out=False, ssrc=2, seconds=rows, lost=total, expected=expected,
        loss_pct=100.0 * total / expected, loss_bursts=max(total, 1), longest_loss_burst=1, burst_ratio=1.0,
    )  # fmt: skip
    call = Call(
        call_id="c", start_ns=seconds(start), end_ns=seconds(len(lost)), agent="10.0.0.5", agent_port=50000, flow=0,
        relay=Relay(address="15.193.5.9", port=3478, transport="udp"), in_streams=(0,),
    )  # fmt: skip
    none = RoundTrips(p50=None, p95=None, n=0)
    return CallView(
        call=call, streams=[stream], flows=[make_flow()], transactions=join_transactions([]), relay_rtt=none,
        media_rtt=none,
    )  # fmt: skip


def loss_finding(view):
    return next((f for f in call_findings(view) if f.code == "LOSS_INBOUND"), None)


def test_loss_of_one_stretch_is_told_by_its_seconds_of_the_call():
    finding = loss_finding(call_with([0] * 12 + [4] * 10 + [0] * 14))
    assert finding.evidence["window_from_s"] == 12
    assert finding.evidence["window_to_s"] == 22
    assert finding.evidence["window_loss_pct"] == pytest.approx(8.0)
    assert finding.evidence["rest_loss_pct"] == 0.0
    assert "from second 12 to second 22 of the call" in finding.text
    assert "random" not in finding.text


def test_seconds_are_counted_from_the_start_of_the_call():
    finding = loss_finding(call_with([0] * 12 + [4] * 10 + [0] * 14, start=2.0))
    assert (finding.evidence["window_from_s"], finding.evidence["window_to_s"]) == (10, 20)


def test_loss_all_over_the_call_is_spread_out():
    finding = loss_finding(call_with([1, 2, 1, 1, 2, 1] * 6))
    assert "spread out over the call at random" in finding.text
    assert "window_from_s" not in finding.evidence


def test_ten_bad_seconds_of_a_long_call_are_told_though_the_mean_is_fine():
    finding = loss_finding(call_with([0] * 600 + [5] * 10 + [0] * 600))
    assert finding.severity == "warning"
    assert finding.evidence["loss_pct"] < 0.2
    assert (finding.evidence["window_from_s"], finding.evidence["window_to_s"]) == (600, 610)
    assert loss_finding(call_with([0] * 600 + [1] + [0] * 600)) is None


def test_one_outage_has_a_time_of_its_own_and_is_no_window():
    is_lost = np.zeros(40 * PACKETS, bool)
    is_lost[15 * PACKETS : 20 * PACKETS] = True
    assert find_loss_window(stream_of(is_lost)) is None


@pytest.mark.parametrize("length_s", [20, 40, 300])
@pytest.mark.parametrize("share", [0.005, 0.03, 0.1])
def test_chance_alone_hardly_ever_makes_a_window(length_s, share):
    draws = np.random.default_rng(7)
    found = [find_loss_window(stream_of(draws.random(length_s * PACKETS) < share)) for _ in range(100)]
    assert sum(window is not None for window in found) <= 1


def test_a_line_that_loses_in_runs_all_the_time_has_hardly_ever_a_window():
    draws = np.random.default_rng(8)
    told = 0
    for _ in range(60):
        is_lost = np.zeros(120 * PACKETS, bool)
        for start in np.flatnonzero(draws.random(len(is_lost)) < 0.01):
            is_lost[start : start + draws.geometric(0.25)] = True
        told += find_loss_window(stream_of(is_lost)) is not None
    assert told <= 3


def test_a_window_is_found_wherever_it_lies():
    draws = np.random.default_rng(9)
    for start in (0, 7, 26):
        is_lost = np.zeros(36 * PACKETS, bool)
        is_lost[start * PACKETS : (start + 10) * PACKETS] = draws.random(10 * PACKETS) < 0.08
        window = find_loss_window(stream_of(is_lost))
        assert abs(window.first_ns - seconds(start)) <= seconds(2) - seconds(0)
        assert abs(window.last_ns - seconds(start + 10)) <= seconds(2) - seconds(0)
