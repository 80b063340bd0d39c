"""A call on one clock: seconds, round trips, silences and moments, from documents and from real captures."""

import pytest
from report_examples import capture_document

from ccp_assess.report.figures import draw_call_timeline
from ccp_assess.report.figures.calls import _silences, call_series, seconds_since

DOCUMENT = capture_document()
BAD = DOCUMENT["calls"][1]


def test_the_seconds_add_up_to_what_was_lost():
    series = call_series(DOCUMENT, BAD)
    assert sum(lost for _, _, lost in series.loss) == 63
    assert sum(expected for _, expected, _ in series.loss) == 40 * 50
    assert max(value for _, value in series.jitter) == 24.0


def test_a_data_frame_of_seconds_gives_the_same_as_rows():
    import pandas as pd

    frame = pd.DataFrame(DOCUMENT["seconds"])
    assert call_series({**DOCUMENT, "seconds": None}, BAD, frame) == call_series(DOCUMENT, BAD)


def test_round_trips_of_another_workstation_do_not_count():
    call = {**BAD, "agent": "10.20.1.12", "agent_port": 50000}
    assert call_series(DOCUMENT, call).media_rtt == ()
    call = {**BAD, "agent": "10.20.1.11", "agent_port": 50000}
    assert len(call_series(DOCUMENT, call).media_rtt) == 14


def test_a_check_that_the_server_asked_is_not_a_round_trip_of_ours():
    rows = [{**row, "src": row["dst"], "dst": row["src"]} for row in DOCUMENT["transactions"]]
    assert call_series({**DOCUMENT, "transactions": rows}, BAD).media_rtt == ()


def test_seconds_in_which_nothing_arrived_are_a_silence_and_not_a_loss_of_zero():
    seconds = [row for index, row in enumerate(DOCUMENT["seconds"]) if not 5 <= index < 11]
    series = call_series({**DOCUMENT, "seconds": seconds}, BAD)
    assert _silences(series) == [(5, 11)]


def test_silence_after_the_last_packet_lasts_to_the_end_of_the_call():
    series = call_series({**DOCUMENT, "seconds": DOCUMENT["seconds"][:20]}, BAD)
    assert _silences(series) == [(20.0, 40)]


def test_an_unreadable_instant_gives_no_offset():
    assert seconds_since("2026-11-20T10:02:04Z", "@99999999999.5Z") is None
    assert seconds_since(None, "2026-11-20T10:02:04Z") is None


def test_stalls_of_the_workstation_get_a_row_of_their_own():
    stalled = [{**row, "direction": "out", "longest_gap_ms": 420.0, "lost": 0} for row in DOCUMENT["seconds"][:5]]
    _, ax = draw_call_timeline({**DOCUMENT, "seconds": [*DOCUMENT["seconds"], *stalled]}, call_id=BAD["call_id"])
    assert len(ax.child_axes) == 4
    _, ax = draw_call_timeline(DOCUMENT, call_id=BAD["call_id"])
    assert len(ax.child_axes) == 3


def test_an_unknown_call_is_named():
    with pytest.raises(KeyError, match="no call"):
        draw_call_timeline(DOCUMENT, call_id="missing")


@pytest.mark.shared
def test_a_real_outage_is_drawn_where_it_was(shared):
    from ccp_assess.assess.captures import assess_captures

    capture = assess_captures([shared / "captures" / "lab" / "pcap" / "outage5.pcap"])
    document = capture.to_document()
    series = call_series(document, document["calls"][0], capture.to_frame("seconds"))
    silences = _silences(series)
    assert len(silences) == 1
    assert 3 <= silences[0][1] - silences[0][0] <= 5
    assert sum(lost for _, _, lost in series.loss) == sum(
        s["lost"] for s in document["streams"] if s["direction"] == "in"
    )
    assert len(series.media_rtt) >= document["calls"][0]["rtt_media_ms"]["n"]
