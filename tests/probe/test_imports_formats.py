"""Formats beyond the samples of ../shared: makers, languages, code pages, several runs, damage, hostile text."""

# ruff: noqa: E501 - the width of these tables is the point

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples_of_tools import SAMPLES

from ccp_assess.errors import ParseError
from ccp_assess.probe.imports import parse_probe_bytes, probe_document_json, read_probe_file
from ccp_assess.probe.imports.records import nearest_rank, received_from_loss
from ccp_assess.probe.imports.text import address_or_none, addresses_in, bracketed_address, milliseconds

TEXTS = {sample[0]: sample[2] for sample in SAMPLES}
IDS = list(TEXTS)


def only(data):
    (row,) = parse_probe_bytes(data if isinstance(data, bytes) else data.encode()).regions
    return row


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_each_format_is_read_by_its_shape_alone(sample):
    _, encoding, text, tool, address, hop_count, hops, sent, received, low = sample
    row = only(text.encode(encoding, "replace"))
    assert row.details["tool"] == tool
    assert row.details.get("destination_address") == address
    assert (row.sent, row.received, row.rtt_min_ms) == (sent, received, low)
    if hops is None:
        assert row.path is None
    else:
        assert row.path.hop_count == hop_count
        assert [hop.address for hop in row.path.hops] == hops


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_encoding_changes_no_number(sample, encoding):
    there, here = only(sample[2].encode(sample[1], "replace")), only(sample[2].encode(encoding))
    assert here.rtts_ms == there.rtts_ms
    assert (here.sent, here.received, here.rtt_min_ms) == (there.sent, there.received, there.rtt_min_ms)
    if here.path:
        assert here.path.hop_count == there.path.hop_count
        assert [hop.rtts_ms for hop in here.path.hops] == [hop.rtts_ms for hop in there.path.hops]


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
@pytest.mark.parametrize("end", ["\r\n", "\r", "\r\r\n"])
def test_the_ends_of_lines_change_nothing(sample, end):
    if end == "\r\r\n" and "wrap" in sample[0]:
        return  # a name wrapped over a blank line is no name
    assert only(sample[2].replace("\n", end)) == only(sample[2])


def test_colours_of_a_terminal_are_taken_out():
    text = TEXTS["linux_mpls"].replace("9.9.9.9", "\x1b[1;32m9.9.9.9\x1b[0m")
    assert only(text).path == only(TEXTS["linux_mpls"]).path


def test_what_was_pasted_one_below_the_other_is_told_apart():
    document = parse_probe_bytes(
        (
            TEXTS["ping_it"]
            + TEXTS["it"]
            + TEXTS["mac_a"]
            + TEXTS["mtr_old"]
            + TEXTS["winmtr_html"][:0]
            + TEXTS["pathping_lost"]
            + TEXTS["tracepath"]
        ).encode()
    )
    assert [row.details["tool"] for row in document.regions] == [
        "ping",
        "tracert",
        "traceroute",
        "mtr",
        "pathping",
        "tracepath",
    ]
    assert [row.path and row.path.hop_count for row in document.regions] == [None, 3, 3, 4, 2, 3]


def test_runs_of_one_tool_are_told_apart_with_their_own_destinations():
    text = """C:\\Users\\me>tracert -d 15.193.5.20

Tracing route to 15.193.5.20 over a maximum of 30 hops

  1     *        *        *     Request timed out.
  2     *        *        *     Request timed out.

Trace complete.

C:\\Users\\me>ping 15.193.5.20

Pinging 15.193.5.20 with 32 bytes of data:
Request timed out.
Request timed out.

Ping statistics for 15.193.5.20:
    Packets: Sent = 2, Received = 0, Lost = 2 (100% loss),

C:\\Users\\me>tracert -d 15.193.6.20

Tracing route to 15.193.6.20 over a maximum of 30 hops

  1     1 ms    <1 ms    <1 ms  10.0.0.1
  2     9 ms     9 ms     9 ms  15.193.6.20

Trace complete.
"""
    rows = parse_probe_bytes(text.encode("utf-16")).regions
    assert [row.region_code for row in rows] == ["eu-west-2", "eu-west-2", "us-east-1"]
    assert [row.received for row in rows] == [None, 0, 3]
    assert [row.path and row.path.hop_count for row in rows] == [None, None, 2]
    twice = parse_probe_bytes((TEXTS["ping_dead"] + TEXTS["ping_it"] + TEXTS["ping_dead"]).encode()).regions
    assert [(row.sent, row.received) for row in twice] == [(4, 0), (4, 3), (4, 0)]


def test_windows_counts_a_routers_refusal_as_received_and_we_do_not():
    row = only(TEXTS["ping_dead"])
    assert (row.sent, row.received, row.rtts_ms, row.rtt_p50_ms) == (4, 0, (), None)


def test_loss_at_a_middle_hop_is_no_loss():
    row = only(TEXTS["mtr_old"])
    assert row.path.hops[2].received == 9
    assert (row.sent, row.received) == (10, 10)


def test_several_answers_at_one_ttl_are_all_kept_and_the_destination_bears_the_hop():
    text = """traceroute to 9.9.9.9 (9.9.9.9), 30 hops max, 60 byte packets
 1  10.0.0.1  0.3 ms 10.0.0.2  0.4 ms 10.0.0.1  0.5 ms
 2  10.0.0.9  8.0 ms 9.9.9.9  9.1 ms  9.2 ms
"""
    row = only(text)
    assert row.path.hops[0].addresses == ("10.0.0.1", "10.0.0.2")
    assert row.path.hops[1].address == "9.9.9.9"
    assert (row.path.hop_count, row.rtts_ms) == (2, (9.1, 9.2))


def test_a_hop_beyond_the_destination_does_not_raise_the_hop_count():
    text = "traceroute to 9.9.9.9 (9.9.9.9)\n 1  10.0.0.1  1 ms\n 2  9.9.9.9  2 ms\n 3  9.9.9.9  3 ms\n"
    assert only(text).path.hop_count == 2


@pytest.mark.parametrize(
    ("command", "technique"),
    [
        ("traceroute -I 9.9.9.9", "icmp"),
        ("sudo traceroute -T -p 443 9.9.9.9", "tcp"),
        ("traceroute -U -p 3478 9.9.9.9", "udp"),
        ("traceroute 9.9.9.9", "udp"),
        ("traceroute -P ICMP 9.9.9.9", "icmp"),
        ("traceroute -P tcp 9.9.9.9 60", "tcp"),
    ],
)
def test_the_command_that_was_typed_tells_the_technique(command, technique):
    row = only(f"me@pc:~$ {command}\n 1  10.0.0.1  1 ms\n 2  9.9.9.9  2 ms\n")
    assert (row.path.technique, row.destination, row.path.hop_count) == (technique, "9.9.9.9", 2)


def test_a_technique_that_the_text_does_not_show_is_unknown():
    assert only("traceroute to 9.9.9.9 (9.9.9.9)\n 1  9.9.9.9  2 ms\n").path.technique is None


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("turnnlb-8d79b4466d82ad0e.elb.us-west-2.amazonaws.com (10.1.1.1)", "us-west-2"),
        ("TURNNLB-8D79B4466D82AD0E.ELB.US-WEST-2.AMAZONAWS.COM (10.1.1.1)", "us-west-2"),
        ("dynamodb.eu-central-1.amazonaws.com (10.1.1.1)", "eu-central-1"),
        ("15.193.5.20 (15.193.5.20)", "eu-west-2"),
        ("eu-west-2.example.com (10.1.1.1)", None),
        ("amazonaws.com.eu-west-2.evil.example (10.1.1.1)", None),
    ],
)
def test_the_region_is_that_of_the_destinations_name_or_published_range(name, region):
    assert only(f"traceroute to {name}, 30 hops max\n 1  10.1.1.1  2 ms\n").region_code == region


def test_ripe_atlas_results_are_read_as_list_object_and_lines():
    trace = {
        "msm_id": 1, "prb_id": 2, "type": "traceroute", "proto": "ICMP", "timestamp": 1_700_000_000,
        "dst_name": "x.example", "dst_addr": "15.193.5.20",
        "result": [
            {"hop": 1, "result": [{"from": "10.0.0.1", "rtt": 0.5}, {"from": "10.0.0.1", "rtt": 0.4, "late": 2}, {"x": "*"}]},
            {"hop": 2, "result": [{"x": "*"}, {"x": "*"}, {"x": "*"}]},
            {"hop": 3, "result": [{"from": "15.193.5.20", "rtt": 9.5}, {"from": "15.193.5.20", "rtt": 9.4, "err": "A"}, {"x": "*"}]},
        ],
    }  # fmt: skip
    ping = {
        "msm_id": 2, "prb_id": 2, "type": "ping", "dst_addr": "15.193.5.20", "sent": 3, "rcvd": 2,
        "min": 9.4, "avg": 9.5, "max": 9.6, "result": [{"rtt": 9.4}, {"x": "*"}, {"rtt": 9.6}],
    }  # fmt: skip
    document = parse_probe_bytes(json.dumps([trace, ping]).encode())
    first, second = document.regions
    assert document.time == "2023-11-14T22:13:20Z"
    assert (first.region_code, first.path.technique, first.path.hop_count) == ("eu-west-2", "icmp", 3)
    assert (first.sent, first.received, first.rtt_min_ms) == (3, 2, 9.4)
    assert first.path.hops[2].annotations == ("!A",)
    assert (second.sent, second.received, second.rtts_ms) == (3, 2, (9.4, None, 9.6))
    assert parse_probe_bytes(json.dumps(trace).encode()).regions == (first,)
    assert parse_probe_bytes(f"{json.dumps(trace)}\n{json.dumps(ping)}\n".encode()).regions == document.regions


def test_ripe_atlas_last_resort_ttl_is_no_hop_count():
    row = only(json.dumps({
        "msm_id": 1, "type": "traceroute", "proto": "UDP", "dst_addr": "8.8.8.8",
        "result": [{"hop": 1, "result": [{"x": "*"}]}, {"hop": 255, "result": [{"from": "8.8.8.8", "rtt": 9}]}],
    }))  # fmt: skip
    assert (row.path.hop_count, row.path.destination_answered, row.rtt_min_ms) == (None, True, 9.0)


def test_latencies_of_the_endpoint_test_utility_are_found_by_region():
    rows = parse_probe_bytes(
        json.dumps(
            {
                "results": {
                    "latency": [{"region": "us-west-2", "latency": 45}, {"region": "eu-west-2", "latency": 112.5}]
                }
            }
        ).encode()
    ).regions
    assert {row.region_code: row.rtt_min_ms for row in rows} == {"us-west-2": 45.0, "eu-west-2": 112.5}


def test_mtr_json_of_every_make_gives_the_same_hops():
    hub = {"count": 1, "host": "9.9.9.9", "Loss%": 10.0, "Snt": 10, "Last": 1.0, "Avg": 1.5, "Best": 1.0, "Wrst": 2.0}
    plain = {"report": {"mtr": {"src": "a", "dst": "9.9.9.9", "tests": 10}, "hubs": [hub]}}
    words = {key: str(value) for key, value in hub.items()}
    shown = {**hub, "host": "dns9.quad9.net (9.9.9.9)", "ASN": "AS19281", "Drop": 1, "Rcv": 9, "Javg": 0.1}
    rows = [only(json.dumps({"report": {**plain["report"], "hubs": [one]}})) for one in (hub, words, shown)]
    for row in rows:
        assert (row.sent, row.received, row.rtt_min_ms, row.rtt_p50_ms, row.rtt_p95_ms) == (10, 9, 1.0, 1.5, None)
        assert (row.path.hop_count, row.path.technique, row.path.hops[0].rtts_ms) == (1, None, ())
    assert (rows[2].path.hops[0].asn, rows[2].path.hops[0].name) == (19281, "dns9.quad9.net")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n\n  \n", 1),
        ("Dear team,\nplease find the trace attached.\n", 1),
        ("\n\nUnable to resolve target system name foo.bar.\n", 3),
        ("traceroute to 8.8.8.8 (8.8.8.8), 30 hops max\n", 1),
        ("hello\n\ntraceroute to 8.8.8.8 (8.8.8.8), 30 hops max\n", 3),
        ('{"report": {"mtr": {"dst": "8.8.8.8"},\n "hubs": [\n {"count": 1, "host": "a",\n', 4),
        ('{"report": {"mtr": {}, "hubs": [{"count": 900, "host": "a"}]}}', None),
        ('{"anything": 1}', 1),
        ("[]", 1),
        ("[" * 100_000, 1),
        ('{"report": ' + "9" * 5000 + "}", 1),
        (TEXTS["mtr_old"].replace("10.3.3.3)             10.0%", "10.3.3.3)             x"), 4),
        ("MTR.0.95,1,OK,h,300,10.0.0.1,0,1,0,1,1,1,1,0\n", 1),
        (TEXTS["csv"].replace("3;15.193.5.20;turn;0", "3;15.193.5.20"), 4),
        ("x\n" * 60_000, 50_001),
    ],
)
def test_wrong_text_gives_one_sentence_with_its_line(text, line, tmp_path):
    file = tmp_path / "trace.txt"
    file.write_text(text)
    with pytest.raises(ParseError) as told:
        read_probe_file(file)
    message = str(told.value)
    assert message.startswith(str(file))
    assert "\n" not in message
    assert line is None or f"line {line}:" in message


def test_a_damaged_table_of_winmtr_is_refused_since_its_hops_are_counted():
    text = """|                       Host              -   %  | Sent | Recv | Best | Avrg | Wrst | Last |
|------------------------------------------------|------|------|------|------|------|------|
| 192.168.1.1                             -    0 |   22 |   22 |    0 |    0 |    3 |    1 |
| 10.0.0.1                                -    0 |   22 |   2
| 8.8.8.8                                 -    0 |   22 |   22 |   10 |   13 |   29 |   15 |
"""
    with pytest.raises(ParseError, match="line 4"):
        only(text)
    assert only(text.replace("|   2\n", "|   2 |    0 |    0 |    3 |    1 |\n")).path.hop_count == 3


def test_a_hop_that_cannot_be_read_is_named_and_the_rest_is_kept():
    text = "traceroute to 9.9.9.9 (9.9.9.9)\n 1  10.0.0.1  1 ms\n 2  10.0.0.2  1x ms\n 3  9.9.9.9  2 ms\n"
    row = only(text)
    assert row.details["notes"] == ["line 3 begins like a hop, cannot be read and is left out"]
    assert [hop.ttl for hop in row.path.hops] == [1, 3]
    assert row.path.hop_count == 3


def test_a_report_that_was_cut_does_not_take_its_last_line_for_the_destination():
    text = "\n".join(TEXTS["mtr_old"].splitlines()[:2]) + "\n  2.|-- 10.0.0.2                     0.0%    10    0."
    row = only(text)
    assert (row.path.hop_count, row.destination) == (None, None)
    assert "line 3" in row.details["notes"][0]


def test_a_file_that_does_not_exist_or_is_a_folder_is_said_in_one_sentence(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(ParseError, match=path.name):
            read_probe_file(path)


def test_a_file_named_for_the_bench_says_so_and_others_do_not(tmp_path):
    for name, vantage in (
        ("bench__eu-west-2__mtr.txt", "bench"),
        ("LIS__bench__x.txt", "bench"),
        ("benchmark.txt", None),
    ):
        (tmp_path / name).write_text(TEXTS["mtr_old"])
        document = read_probe_file(tmp_path / name, "LIS")
        assert document.vantage == vantage
        assert probe_document_json(document)["host"]["vantage"] == vantage


def test_names_are_printable_and_bounded():
    text = f"traceroute to x\x07y{'z' * 400} (9.9.9.9)\n 1  9.9.9.9  2 ms\n"
    row = only(text)
    assert row.destination.isprintable()
    assert len(row.destination) <= 255


def test_a_probe_in_flight_is_neither_lost_nor_received():
    assert received_from_loss(6, 20.0) == 4
    assert received_from_loss(9, 11.1) == 8
    assert received_from_loss(0, 0.0) == 0
    assert received_from_loss(None, 0.0) is None


def test_percentiles_are_nearest_rank():
    assert [nearest_rank([5.0, 1.0, 2.0, 4.0, 3.0], percent) for percent in (20, 50, 95, 100)] == [1.0, 3.0, 5.0, 5.0]
    assert nearest_rank([], 50) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("来自180.101.50.242的回复", ["180.101.50.242"]),
        ("Reply from 2a00:1450::200e: time", ["2a00:1450::200e"]),
        ("fe80::1%eth0, hlim", ["fe80::1%eth0"]),
        ("at 12:34:56 on 300.1.1.1 or 1.2.3.4.5", []),
        ("::1, x", ["::1"]),
        ("ends 10.0.0.1.", ["10.0.0.1"]),
    ],
)
def test_addresses_are_found_whatever_stands_around_them(text, found):
    assert addresses_in(text) == found


# What must hold for any input


def check(document):
    """What every document must hold, whatever it was read from."""
    text = json.dumps(probe_document_json(document), allow_nan=False)
    assert len(text) < 30_000_000
    for row in document.regions:
        for value in (row.rtt_min_ms, row.rtt_p50_ms, row.rtt_p95_ms):
            assert value is None or (math.isfinite(value) and 0 <= value <= 3_600_000)
        assert row.sent is None or row.sent >= 0
        if row.received == 0:
            assert row.rtt_p50_ms is None
        if row.path:
            ttls = [hop.ttl for hop in row.path.hops]
            assert ttls == sorted(set(ttls))
            assert all(1 <= ttl <= 255 for ttl in ttls)
            assert row.path.hop_count is None or row.path.hop_count in ttls
            assert row.path.hop_count is None or row.path.destination_answered


def read_or_refuse(data):
    told = ""
    try:
        document = parse_probe_bytes(data)
    except ParseError as error:
        told, document = str(error), None
    assert "\n" not in told
    if document is not None:
        check(document)
    return document


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_are_read_or_refused(data):
    read_or_refuse(data)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=" 0123456789.*<>!()[]:|-=%/,ms\nabcfTL毫秒", max_size=600))
def test_any_text_of_the_characters_of_traces_is_read_or_refused(text):
    read_or_refuse(text.encode())


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.floats(0, 1))
def test_a_text_cut_anywhere_is_read_or_refused(sample, where):
    data = sample[2].encode(sample[1], "replace")
    read_or_refuse(data[: int(len(data) * where)])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), min_size=1, max_size=6))
def test_a_text_with_damage_anywhere_is_read_or_refused(sample, damage):
    data = bytearray(sample[2].encode(sample[1], "replace"))
    for where, junk in damage:
        place = int(len(data) * where)
        data[place : place + len(junk)] = junk
    read_or_refuse(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(SAMPLES), min_size=2, max_size=5))
def test_samples_one_below_the_other_are_as_many_runs(samples):
    text = "\n".join(sample[2] for sample in samples if sample[0] not in {"winmtr_html", "csv", "mtr_csv_old"})
    wanted = [sample for sample in samples if sample[0] not in {"winmtr_html", "csv", "mtr_csv_old"}]
    if not wanted:
        return
    document = read_or_refuse(text.encode())
    assert [row.details["tool"] for row in document.regions] == [sample[3] for sample in wanted]
    assert [row.path and row.path.hop_count for row in document.regions] == [sample[5] for sample in wanted]
    assert [row.details.get("destination_address") for row in document.regions] == [sample[4] for sample in wanted]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["report", "mtr", "hubs", "count", "host", "Loss%", "Snt", "Best", "dst", "regions", "site_id", "path", "hops", "ttl",
         "result", "hop", "from", "rtt", "msm_id", "dst_addr", "type", "region", "latency", "us-west-2", "relay", "rtt_ms"]
    ), inner, max_size=6),
    max_leaves=40,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES)
def test_any_json_is_read_or_refused(value):
    read_or_refuse(json.dumps(value).encode())


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_document_that_was_written_is_read_back_as_it_was(sample):
    first = probe_document_json(parse_probe_bytes(sample[2].encode()))
    again = probe_document_json(parse_probe_bytes(json.dumps(first).encode()))
    first["source"] = again["source"] = None
    assert again == first


def test_the_rounds_of_a_monitor_are_read_as_one_document():
    one = probe_document_json(parse_probe_bytes(TEXTS["it"].encode()))
    document = parse_probe_bytes((json.dumps(one) + "\n" + json.dumps(one) + "\n").encode())
    assert len(document.regions) == 2


@given(st.integers(1, 255), st.integers(1, 255), st.integers(0, 255))
def test_addresses_survive_brackets_and_blanks(a, b, c):
    address = f"{a}.{b}.{c}.1"
    assert address_or_none(f"[{address}]") == address
    assert bracketed_address(f"  3  1 ms host.example [{address[:4]}   {address[4:]}]") == ("host.example", address)


@given(st.floats(0, 10_000))
def test_durations_survive_writing(value):
    assert milliseconds(f"{value:.3f}") == pytest.approx(value, abs=0.0005)
    assert milliseconds(f"{value:.3f}".replace(".", ",")) == pytest.approx(value, abs=0.0005)


def test_only_a_part_of_windows_replies_does_not_make_loss():
    text = "\n".join(line for number, line in enumerate(TEXTS["ping_ru"].splitlines()) if number not in {2, 3})
    row = only(text)
    assert (row.sent, row.received, [rtt for rtt in row.rtts_ms if rtt is not None]) == (4, 3, [20.0, 13.0])


def test_a_deviation_that_is_no_number_does_not_hide_the_sums():
    text = "PING 8.8.8.8 (8.8.8.8): 56 data bytes\n\n--- 8.8.8.8 ping statistics ---\n1 packets transmitted, 1 packets received, 0.0% packet loss\nround-trip min/avg/max/stddev = 9.1/9.1/9.1/nan ms\n"
    assert (only(text).rtt_min_ms, only(text).received) == (9.1, 1)


def test_a_name_that_wrapped_in_the_statistics_of_pathping_keeps_its_address():
    text = TEXTS["pathping_lost"].replace("  2  10.5.5.5\n", "  2  contoso.com [10.5.5.5]\n")
    text = text.replace(
        "100/ 100 =100%     0/ 100 =  0%  10.5.5.5", "  0/ 100 =  0%     0/ 100 =  0%  contoso.com\n [10.5.5.5]"
    )
    row = only(text.replace("---", "9ms"))
    assert [(hop.address, hop.name, hop.rtt_avg_ms) for hop in row.path.hops][1] == ("10.5.5.5", "contoso.com", 9.0)
    assert row.path.hop_count == 2


@pytest.mark.parametrize("prefix", ["> ", ">> ", "    ", "\t", "       "])
@pytest.mark.parametrize(
    "name", ["it", "ping_ru", "mac_a", "linux_x", "mtr_old", "mtr_o", "pathping_lost", "tracepath", "huawei"]
)
def test_what_was_quoted_in_a_mail_or_indented_is_read_alike(name, prefix):
    text = "\n".join(prefix + line for line in TEXTS[name].splitlines())
    assert only(text) == only(TEXTS[name])


CODE_PAGES = (
    "cp437 cp737 cp850 cp852 cp855 cp857 cp858 cp860 cp862 cp863 cp865 cp866 cp869 cp874 cp932 cp949 cp950 "
    "cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 gbk big5 shift_jis euc_jp euc_kr iso2022_jp "
    "koi8-r koi8-u mac_roman mac_cyrillic latin-1 iso8859-15"
)


def numbers_of(row):
    hops = [(hop.ttl, hop.address, hop.rtts_ms, hop.rtt_avg_ms) for hop in row.path.hops] if row.path else None
    return row.sent, row.received, row.rtts_ms, row.rtt_min_ms, hops, row.path and row.path.hop_count


@pytest.mark.parametrize("page", CODE_PAGES.split())
def test_no_code_page_changes_a_number_whatever_it_does_to_the_words(page):
    for sample in SAMPLES:
        there = only(sample[2].encode(page, "replace"))
        assert numbers_of(there) == numbers_of(only(sample[2])), (sample[0], page)


MTR_XML = """<?xml version="1.0"?>
<MTR SRC="vm" DST="15.193.5.20" TOS="0x0" PSIZE="64" BITPATTERN="0x00" TESTS="10">
    <HUB COUNT="1" HOST="10.0.0.1">
        <Loss>  0.0%</Loss>
        <Snt>    10</Snt>
        <Last>   0.1</Last>
        <Avg>   0.2</Avg>
        <Best>   0.1</Best>
        <Wrst>   0.3</Wrst>
        <StDev>   0.0</StDev>
    </HUB>
    <HUB COUNT="2" HOST="???">
        <Loss>100.0%</Loss>
        <Snt>    10</Snt>
        <Last>   0.0</Last>
        <Avg>   0.0</Avg>
        <Best>   0.0</Best>
        <Wrst>   0.0</Wrst>
        <StDev>   0.0</StDev>
    </HUB>
    <HUB COUNT="3" HOST="15.193.5.20">
        <Loss> 10.0%</Loss>
        <Snt>    10</Snt>
        <Last>   9.1</Last>
        <Avg>   9.2</Avg>
        <Best>   9.1</Best>
        <Wrst>   9.3</Wrst>
        <StDev>   0.0</StDev>
    </HUB>
</MTR>
"""


def test_mtr_xml_gives_the_hops_of_its_report():
    row = only(MTR_XML)
    assert (row.region_code, row.path.hop_count, row.sent, row.received) == ("eu-west-2", 3, 10, 9)
    assert (row.rtt_min_ms, row.rtt_p50_ms) == (9.1, 9.2)
    assert [hop.address for hop in row.path.hops] == ["10.0.0.1", None, "15.193.5.20"]
    assert row.path.hops[1].rtt_min_ms is None


@given(st.integers(0, len(MTR_XML)))
def test_mtr_xml_cut_anywhere_is_read_or_refused(end):
    document = read_or_refuse(MTR_XML[:end].encode())
    if document and end < len(MTR_XML) - 8:
        assert document.regions[0].path.hop_count in {None, 3}


def test_mtr_raw_gives_single_times_in_order():
    text = "x 0 1\nx 1 2\nh 0 10.0.0.1\np 0 512 1\nx 2 3\nh 2 9.9.9.9\nd 2 dns9.quad9.net\np 2 9100 3\nx 0 4\nx 1 5\nx 2 6\np 0 498 4\nx 3 7\nh 3 9.9.9.9\np 3 9050 7\n"
    row = only(text)
    assert (row.destination, row.details["destination_address"]) == ("dns9.quad9.net", "9.9.9.9")
    assert [(hop.ttl, hop.address, hop.rtts_ms) for hop in row.path.hops] == [
        (1, "10.0.0.1", (0.512, 0.498)),
        (2, None, (None, None)),
        (3, "9.9.9.9", (9.1, None)),
    ]
    assert (row.path.hop_count, row.sent, row.received) == (3, 2, 1)
