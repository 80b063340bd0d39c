"""Voice-like trains on ways whose truth is known."""

from dataclasses import replace
from itertools import pairwise

import pytest

from ccp_assess.probe.machine import ClockStepped, Overflowed, run
from ccp_assess.probe.traced import Target
from ccp_assess.probe.train import BARE_BYTES, PACKET_BYTES, Trains
from ccp_assess.probe.train_numbers import Packet, SelfInflicted, judge_sending, nearest_rank, sum_up
from ccp_assess.probe.virtual import VirtualNetwork
from ccp_assess.probe.virtual_ways import Nat, Rule, straight_way, stun_server

MS = 1_000_000
CALM = SelfInflicted(late_sends_pct=0.0, worst_send_ms=0.0, overflowed=0, clock_steps=0, reasons=())


def trained(seconds=10.0, *, calls=1, seed=0, machine=None, count=1, deadline_s=60.0, network=None, **way):
    ways = {f"192.0.2.{n}": straight_way(hops=9, rtt_ms=80.0, number=n, **way) for n in range(1, count + 1)}
    virtual = VirtualNetwork(ways=ways, seed=seed, **(network or {}))
    trains = machine or Trains([Target(address=address) for address in ways], seconds=seconds, calls=calls)
    (found,) = run([trains], virtual, deadline_s=deadline_s)
    return found, trains, virtual


def test_a_perfect_way_gives_a_perfect_train_on_its_schedule():
    found, trains, _ = trained(count=3)
    for numbers in found:
        assert (numbers.sent, numbers.received, numbers.lost, numbers.late) == (500, 500, 0, 0)
        assert (numbers.duplicates, numbers.reordered, numbers.send_failed) == (0, 0, 0)
        assert (numbers.rtt_min_ms, numbers.rtt_p50_ms, numbers.jitter_ms, numbers.pdv_p95_ms) == (80.0, 80.0, 0, 0)
        assert numbers.loss.high_pct == pytest.approx(0.735, abs=0.001)
        assert numbers.packet_bytes == PACKET_BYTES
        assert not numbers.self_inflicted.spoiled
        assert not numbers.rate_limited
        assert numbers.control_sent == 50
    voice = [stream for stream in trains.streams if not stream.control]
    for stream in voice:
        gaps = {after.sent_ns - before.sent_ns for before, after in pairwise(stream.packets)}
        assert gaps == {20 * MS}
    assert len({stream.first_ns for stream in trains.streams}) == len(trains.streams)


def test_loss_has_its_true_rate_within_its_interval():
    (numbers,), _, _ = trained(20.0, loss_out_pct=2.0, loss_in_pct=2.0, seed=4)
    assert numbers.loss.low_pct < 100 * (1 - 0.98 * 0.98) < numbers.loss.high_pct
    assert numbers.lost == numbers.sent - numbers.received


def test_copies_and_overtaking_are_counted_apart_from_loss():
    (numbers,), _, _ = trained(duplicate_pct=5.0, reorder_pct=5.0, seed=1)
    assert numbers.lost == 0
    assert 5 <= numbers.duplicates <= 60
    assert 5 <= numbers.reordered <= 60


def test_what_comes_after_a_second_is_late_and_not_lost():
    def slow(data, source):
        slow.count = getattr(slow, "count", 0) + 1
        for _, answer in stun_server(data, source):
            yield (1500.0 if slow.count % 10 == 0 else 0.0), answer

    (numbers,), _, _ = trained(network={"udp": {("192.0.2.1", 3478): slow}})
    assert numbers.lost == 0
    assert 40 <= numbers.late <= 50
    assert numbers.received == numbers.sent - numbers.late


def test_a_limit_on_packets_a_second_is_told_from_loss():
    (limited,), _, _ = trained(20.0, udp_per_s=40.0)
    assert limited.rate_limited
    assert limited.control_lost == 0
    for seed in range(8):
        (lossy,), _, _ = trained(10.0, loss_out_pct=10.0, burst_packets=1 + seed % 5, seed=seed)
        assert not lossy.rate_limited


def test_a_nat_that_loses_its_mapping_and_another_way_back_show_in_the_stream():
    (numbers,), _, _ = trained(network={"nat": Nat(rebinds_at_s=(5.0,))})
    assert len(numbers.mapped) == 2
    (steady,), _, _ = trained(network={"nat": Nat()})
    assert len(steady.mapped) == 1
    assert steady.reply_ttls == (64 - 8,)


def test_a_blocked_target_is_not_trained_and_costs_little_time():
    found, trains, network = trained(rules=(Rule(transport="udp", at=3),))
    assert found == [None]
    assert network.now_ns() < 3_000 * MS
    assert not any(stream.packets for stream in trains.streams)


def test_a_train_that_a_device_forbids_is_stopped():
    def hundredth(data):
        return int.from_bytes(data[16:20], "big") > 100

    rules = (Rule(transport="udp", verdict="prohibit", at=3, matches=hundredth),)
    (numbers,), _, network = trained(10.0, rules=rules)
    assert numbers.prohibited_by == "10.2.3.1"
    assert numbers.sent <= 110
    assert network.now_ns() < 8_000 * MS


def test_a_relay_that_answers_no_padding_gets_bare_requests():
    def bare(data, source):
        return stun_server(data, source) if len(data) == BARE_BYTES else ()

    (numbers,), _, _ = trained(2.0, network={"udp": {("192.0.2.1", 3478): bare}})
    assert (numbers.packet_bytes, numbers.received) == (BARE_BYTES, 100)


def test_many_calls_at_once_are_trains_of_their_own():
    (numbers,), trains, _ = trained(2.0, calls=8)
    assert (numbers.calls, numbers.sent, numbers.received) == (8, 800, 800)
    assert len({stream.flow for stream in trains.streams}) == 9


def test_a_computer_that_pauses_says_so_and_judges_no_loss():
    (numbers,), _, _ = trained(network={"pauses_s": tuple((2.0 + k, 0.05) for k in range(5))})
    assert numbers.self_inflicted.spoiled
    assert numbers.self_inflicted.reasons == ("late_sends",)
    assert numbers.lost == 0
    assert numbers.rtt_max_ms == 80.0  # the kernel's stamps are right all the same


def test_arrears_are_not_sent_in_one_burst():
    (numbers,), _, _ = trained(network={"pauses_s": ((3.0, 2.0),)})
    assert numbers.sent <= 500 - 95
    assert numbers.self_inflicted.late_sends_pct > 15
    assert numbers.lost == 0


def test_answers_that_the_computer_threw_away_are_its_own_fault():
    trains = Trains([Target(address="192.0.2.1")], seconds=2.0)
    original = trains.next_time

    def overflowing():
        list(trains.on_event(Overflowed(flow=1, count=7, time_ns=0), 0))
        trains.next_time = original
        return original()

    trains.next_time = overflowing
    (numbers,), _, _ = trained(machine=trains)
    assert numbers.self_inflicted.reasons == ("overflow",)
    assert numbers.self_inflicted.overflowed == 7


def test_packets_on_their_way_when_the_clock_is_set_have_no_round_trip():
    trains = Trains([Target(address="192.0.2.1")], seconds=2.0)
    stepped = []
    handle = trains.on_event

    def with_step(event, now_ns):
        if not stepped and now_ns > 2_000 * MS:
            stepped.append(now_ns)
            list(handle(ClockStepped(step_ns=-3_600_000 * MS, time_ns=now_ns), now_ns))
        return handle(event, now_ns)

    trains.on_event = with_step
    (numbers,), _, _ = trained(machine=trains)
    assert numbers.self_inflicted.clock_steps == 1
    assert (numbers.lost, numbers.rtt_max_ms) == (0, 80.0)


def test_a_packet_that_could_not_leave_is_no_loss_of_the_network():
    packets = [
        Packet(due_ns=k * 20 * MS, sent_ns=k * 20 * MS, arrived_ns=k * 20 * MS + 5 * MS, order=k) for k in range(10)
    ]
    packets[3] = Packet(due_ns=60 * MS, sent_ns=None, error="ENETUNREACH")
    numbers = sum_up([packets], [], packet_bytes=20, self_inflicted=CALM)
    assert (numbers.sent, numbers.lost, numbers.send_failed) == (9, 0, 1)
    assert judge_sending(packets, overflowed=0, clock_steps=0).late_sends_pct == 0.0


def test_the_three_kinds_of_delay_variation_follow_their_definitions():
    rtts = [10.0, 12.0, 11.0, 15.0, 10.0]
    packets = [
        Packet(due_ns=0, sent_ns=k * 20 * MS, arrived_ns=round(k * 20 * MS + rtt * MS), order=k)
        for k, rtt in enumerate(rtts)
    ]
    numbers = sum_up([packets], [], packet_bytes=20, self_inflicted=CALM)
    jitter = 0.0
    for before, after in pairwise(rtts):
        jitter += (abs(after - before) - jitter) / 16
    assert numbers.jitter_ms == pytest.approx(jitter)
    assert numbers.ipdv_mean_ms == pytest.approx((2 + 1 + 4 + 5) / 4)
    assert numbers.pdv_p95_ms == pytest.approx(5.0)
    assert numbers.rtt_p99_ms is None


def test_percentiles_are_nearest_rank():
    values = [float(n) for n in range(1, 101)]
    assert (nearest_rank(values, 50), nearest_rank(values, 95), nearest_rank(values, 100)) == (50.0, 95.0, 100.0)
    assert nearest_rank([7.0], 5) == 7.0
    assert nearest_rank([], 50) is None


def test_the_deadline_ends_a_train_with_what_is_known():
    (numbers,), _, network = trained(10.0, deadline_s=3.0)
    assert network.now_ns() <= 4_000 * MS
    assert 100 <= numbers.sent <= 150


def test_answers_to_another_stream_or_of_strangers_count_nothing():
    def copier(data, source):
        yield from stun_server(data, source)
        yield 1.0, data  # a request is no answer
        yield 1.0, b"\x01\x01\x00\x00"

    (numbers,), _, _ = trained(2.0, network={"udp": {("192.0.2.1", 3478): copier}})
    assert (numbers.received, numbers.duplicates) == (100, 0)


def test_the_record_holds_what_the_contract_wants():
    (numbers,), _, _ = trained(2.0, loss_out_pct=5.0, seed=2)
    document = numbers.to_document()
    wanted = {"sent", "received", "loss_pct", "loss_ci95_pct", "jitter_ms", "rtt_p50_ms", "rtt_p95_ms", "reordered"}
    assert wanted | {"duplicates"} <= set(document)
    assert document["loss_ci95_pct"][0] <= document["loss_pct"] <= document["loss_ci95_pct"][1]
    assert replace(numbers, calls=2).to_document()["calls"] == 2
