"""Conversations as generators: side by side, waiting for each other, and stopped from outside."""

from ccp_assess.probe.machine import Close, Datagram, OpenUdp, Resolve, Resolved, Send, run
from ccp_assess.probe.talks import Talks, TalkStopped, Turnstile
from ccp_assess.probe.virtual import VirtualNetwork
from ccp_assess.probe.virtual_ways import Answer, straight_way

RELAY = "15.193.5.9"


def network(**more):
    return VirtualNetwork(ways={RELAY: straight_way(hops=6, rtt_ms=40.0)}, **more)


def play(main, deadline_s=10.0, **more):
    machine = Talks(main)
    (found,) = run([machine], network(**more), deadline_s=deadline_s)
    return found


def sleep(talks, ms):
    end_ns = talks.after_ms(ms)
    while talks.now_ns < end_ns:
        yield (), end_ns
    return ms


def test_talks_run_side_by_side_and_their_results_come_in_order():
    def main(talks):
        began_ns = talks.now_ns
        others = [talks.start_talk(sleep(talks, ms)) for ms in (30.0, 10.0, 20.0)]
        found = yield from talks.join(others)
        return found, (talks.now_ns - began_ns) / 1e6

    assert play(main) == ([30.0, 10.0, 20.0], 30.0)


def test_events_reach_the_talk_that_opened_the_flow_and_no_other():
    def ask(talks, word):
        flow = talks.number()
        event = yield (OpenUdp(flow=flow, remote=(RELAY, 9)), Send(flow=flow, data=word, token=1)), talks.after_ms(500)
        while not isinstance(event, Datagram):
            event = yield (), talks.after_ms(500)
        yield (Close(flow=flow),), talks.now_ns
        return event.data

    def main(talks):
        others = [talks.start_talk(ask(talks, word)) for word in (b"one", b"two")]
        return (yield from talks.join(others))

    echo = {(RELAY, 9): lambda data, _source: [(0.0, data)]}
    assert play(main, udp=echo) == [b"one", b"two"]


def test_a_question_to_the_resolver_comes_back_by_its_token():
    def main(talks):
        token = talks.number()
        event = yield (Resolve(token=token, name="a.example"),), talks.after_ms(500)
        return event if isinstance(event, Resolved) else None

    assert play(main, names={"a.example": Answer(addresses=("192.0.2.9",))}).addresses == ("192.0.2.9",)


def test_waiting_for_another_talk_may_end_before_it_does():
    def main(talks):
        slow = talks.start_talk(sleep(talks, 100.0))
        first = yield from talks.wait(slow, talks.after_ms(10.0))
        second = yield from talks.wait(slow, talks.after_ms(500.0))
        return first, second, slow.result

    assert play(main) == (False, True, 100.0)


def test_a_turnstile_lets_so_many_pass_and_the_urgent_first():
    passed = []

    def one(talks, gate, rank, name):
        yield from gate.enter(rank)
        passed.append(name)
        yield from sleep(talks, 10.0)
        gate.leave()

    def main(talks):
        gate = Turnstile(talks, 1)
        others = [talks.start_talk(one(talks, gate, rank, name)) for rank, name in ((5, "a"), (5, "b"), (0, "c"))]
        yield from talks.join(others)
        return talks.now_ns

    assert (play(main) - 10**9) / 1e6 == 30.0
    assert passed == ["a", "c", "b"]


def test_the_end_of_the_whole_reaches_every_talk_and_what_is_known_is_kept():
    stopped = []

    def stubborn(talks):
        try:
            yield from sleep(talks, 60_000.0)
        except TalkStopped:
            stopped.append("told")
            raise

    def main(talks):
        other = talks.start_talk(stubborn(talks))
        try:
            yield from talks.join([other])
        except TalkStopped:
            return "half"

    assert play(main, deadline_s=0.5) == "half"
    assert stopped == ["told"]
