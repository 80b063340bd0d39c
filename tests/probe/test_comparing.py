"""Two paths compared: a difference that is there is found, one that is not is "no evidence"."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from ccp_assess.cli.durations import seconds
from ccp_assess.probe.comparing import FEWEST_PAIRS, compare_rounds, pair_rounds

START = datetime(2026, 11, 23, 9, tzinfo=UTC)


def rounds(rtts, *, offset_s=0.0, every_s=60.0, via="stun", region="eu-west-2", **more):
    return [
        {
            "time": (START + timedelta(seconds=offset_s + every_s * index)).isoformat(),
            "regions": [{"region_code": region, "rtt_ms": [rtt] if rtt is not None else [], "via": via, **more}],
        }
        for index, rtt in enumerate(rtts)
    ]


def only(found, metric="rtt_ms"):
    (row,) = [row for row in found if row.metric == metric]
    return row


def test_a_slower_path_is_found_with_its_difference():
    chance = np.random.default_rng(5)
    busy = 20 * np.sin(np.linspace(0, 3, 30))  # the busy hour hits both paths
    row = only(compare_rounds(rounds(60 + busy + chance.normal(0, 2, 30)), rounds(40 + busy, offset_s=4)))
    assert row.verdict == "b"
    assert row.pairs == 30
    assert row.difference == pytest.approx(20, abs=1.5)
    assert row.ci95[0] <= row.difference <= row.ci95[1]


def test_equal_paths_show_no_evidence_in_about_95_of_100_cases():
    chance = np.random.default_rng(11)
    verdicts = [
        only(
            compare_rounds(rounds(chance.normal(40, 3, 24)), rounds(chance.normal(40, 3, 24), offset_s=5), seed=case)
        ).verdict
        for case in range(200)
    ]
    assert (
        verdicts.count("no_evidence") >= 180
    )  # 190 are expected; fewer than 180 would come by chance in 1 of 2000 runs


def test_few_pairs_are_no_evidence_however_large_the_difference():
    row = only(compare_rounds(rounds([90.0] * (FEWEST_PAIRS - 1)), rounds([10.0] * (FEWEST_PAIRS - 1))))
    assert (row.difference, row.ci95, row.verdict) == (80.0, (None, None), "no_evidence")
    assert "too few" in row.note


def test_losses_of_some_rounds_count_by_their_mean():
    a = rounds([20.0] * 24)
    for index, document in enumerate(a):
        document["regions"][0]["train"] = {"loss_pct": 6.0 if index % 3 == 0 else 0.0, "rtt_p50_ms": 20.0}
    b = rounds([20.0] * 24, train={"loss_pct": 0.0, "rtt_p50_ms": 20.0})
    row = only(compare_rounds(a, b), "loss_pct")
    assert (row.verdict, row.difference) == ("b", 2.0)


def test_times_by_stun_and_by_tcp_are_no_pair():
    row = only(compare_rounds(rounds([20.0] * 8), rounds([20.0] * 8, via="tcp")))
    assert (row.pairs, row.difference, row.verdict) == (0, None, "no_evidence")
    assert "by TCP" in row.note


def test_rounds_far_apart_are_no_pair_and_none_is_used_twice():
    assert pair_rounds(rounds([1.0] * 3), rounds([1.0] * 3, offset_s=3_600)) == []
    assert len(pair_rounds(rounds([1.0] * 3), rounds([1.0] * 5, every_s=10.0))) == 3


def test_the_same_files_give_the_same_numbers():
    chance = np.random.default_rng(2)
    a, b = rounds(chance.normal(40, 9, 20)), rounds(chance.normal(41, 9, 20))
    assert compare_rounds(a, b) == compare_rounds(a, b)


def test_the_command_prints_the_contract(tmp_path):
    from ccp_assess import cli

    cli._register()
    files = []
    for name, level in (("a", 50.0), ("b", 30.0)):
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rounds([level] * 9)), encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["compare", *map(str, files), "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.output)
    assert {"metric", "difference", "ci95", "verdict", "pairs"} <= row.keys()
    assert (row["region_code"], row["difference"], row["verdict"], row["pairs"]) == ("eu-west-2", 20.0, "b", 9)
    told = CliRunner().invoke(cli.app, ["compare", *map(str, files)])
    assert "A minus B +20.0 ms" in told.output


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("90s", 90), ("5m", 300), ("8h", 28_800), ("1h30m", 5_400), ("2 d", 172_800), ("1h 1min 500ms", 3_660.5)],
)
def test_durations_are_read_as_people_write_them(text, duration_s):
    assert seconds(text) == duration_s


@pytest.mark.parametrize(
    "text", ["", "m", "-5m", "5 minutes", "0s", "1h x", "1h30", "1 000", "²s", "9" * 400, "99999d", "1" * 100_000]
)
def test_what_is_no_duration_is_refused(text):
    import typer

    with pytest.raises(typer.BadParameter, match="is no duration"):
        seconds(text)
