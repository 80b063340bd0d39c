"""The document of `regions rank` holds to the contract, and its tipping points to new rankings on both sides."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from clients_for_ranking import FRANKFURT, LONDON, MIXED, TOKYO, caller, prepared, site, straight, target

from ccp_assess.cli import main
from ccp_assess.regions import read_regions
from ccp_assess.selection.options import Constraints
from ccp_assess.selection.prepared import prepare
from ccp_assess.selection.ranking import rank_prepared

TABLES = {
    "client.toml": '[client]\nname = "T"\n[constraints]\ngovcloud = false\n',
    "sites.csv": 'site_id,place,agents\nDE,"Berlin, DE",50\nUS,"Denver, US",30\n',
    "callers.csv": "origin_id,country,call_share_pct\nde,DE,60\nus,US,40\n",
    "transfers.csv": 'target_id,place,share_of_calls_pct,circular\nX,"Paris, FR",5,true\nY,"Rome, IT",3,false\n',
}


@pytest.fixture
def folder(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def rank_json(folder, monkeypatch, capsys):
    def run(*options):
        monkeypatch.setattr(
            "sys.argv", ["ccp-assess", "regions", "rank", str(folder), "--json", "--draws", "200", *options]
        )
        with contextlib.suppress(SystemExit):  # an error leaves nothing to read
            main()
        return json.loads(capsys.readouterr().out)

    return run


def _walk(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, f"{path}[]")
    else:
        yield path, value


def test_the_command_prints_every_field_of_the_contract(folder, rank_json):
    document = rank_json()
    for option in document["options"]:
        assert isinstance(option["regions"], list)
        assert option["rank"] is None or option["rank"] >= 1
        assert isinstance(option["excluded_by"], list)
        assert {"mean", "p50", "p95", "band"} <= option["mouth_to_ear_ms"].keys()
        low, high = option["mouth_to_ear_ms"]["band"]
        assert low <= high
        assert {"mean", "p05"} <= option["mos_cqe"].keys()
        assert [row["site_id"] for row in option["by_site"]] == ["DE", "US"]
        assert all(row["hop_count"] is None and row["basis"] == "modelled" for row in option["by_site"])
        assert [(row["target_id"], row["circular"]) for row in option["by_transfer"]] == [("X", True), ("Y", False)]
        assert all(row["leg_ms"] > 0 for row in option["by_transfer"])
        assert [row["origin_id"] for row in option["by_caller_origin"]] == ["de", "us"]
        assert (option["probability_best_pct"] is None) == (option["rank"] is None)
    ranks = [option["rank"] for option in document["options"] if option["rank"] is not None]
    assert ranks == list(range(1, len(ranks) + 1))
    recommendation = document["recommendation"]
    assert recommendation["regions"] == document["options"][0]["regions"]
    assert recommendation["runner_up"] == document["options"][1]["regions"]
    for tip in recommendation["tipping_points"]:
        assert 0 <= tip["from"] <= 100
        assert 0 <= tip["to"] <= 100
        assert tip["what"]
        assert tip["winner_becomes"] != recommendation["regions"]


def test_every_percentage_lies_within_0_and_100_and_no_number_is_infinite(folder, rank_json):
    for path, value in _walk(rank_json("--instances", "2")):
        if isinstance(value, float):
            assert math.isfinite(value), path
        if path.endswith("_pct") and isinstance(value, int | float) and "certainty" not in path:
            assert -1e-9 <= value <= 100 + 1e-9 or "difference" in path or "used" in path, path


def test_govcloud_and_regions_that_hold_no_instance_are_named_with_their_reason(folder, rank_json):
    document = rank_json()
    found = {tuple(option["regions"]): option for option in document["options"]}
    for code, region in read_regions().items():
        option = found[code,]
        if region.status == "gov":
            assert any("GovCloud" in reason for reason in option["excluded_by"])
        if region.status in {"gov", "replica_only", "evidence_only"}:
            assert option["rank"] is None
            assert option["excluded_by"]
            assert option["regions"] != document["recommendation"]["regions"]


def test_a_european_residency_excludes_london_by_name_of_the_rule(folder, rank_json):
    (folder / "client.toml").write_text('[constraints]\nresidency = ["EU"]\n', encoding="utf-8")
    document = rank_json()
    london = next(option for option in document["options"] if option["regions"] == ["eu-west-2"])
    assert london["rank"] is None
    assert any(reason.startswith("residency: data would lie in GB") for reason in london["excluded_by"])
    assert document["recommendation"]["regions"] == ["eu-central-1"]


def test_a_replica_alone_is_never_recommended_and_has_to_be_the_second_of_its_pair(folder, rank_json):
    (folder / "client.toml").write_text("[constraints]\nresiliency_pair = true\n", encoding="utf-8")
    document = rank_json()
    status = {code: region.status for code, region in read_regions().items()}
    for option in document["options"]:
        if option["rank"] is not None:
            assert len(option["regions"]) == 2
            assert status[option["regions"][0]] == "general"


@pytest.mark.parametrize("allowed", ["ap-northeast-3", "ap-south-1", "us-gov-west-1"])
def test_where_only_a_region_without_instances_is_allowed_there_is_no_recommendation(folder, rank_json, allowed):
    (folder / "client.toml").write_text(f'[constraints]\nallowed_regions = ["{allowed}"]\n', encoding="utf-8")
    assert rank_json()["recommendation"]["regions"] == []


# --- tipping points ---------------------------------------------------------------------------------------------


def _random_client(seed):
    rng = np.random.default_rng(seed)
    spots = [LONDON, FRANKFURT, TOKYO, (40.7, -74.0), (-33.9, 18.4), (1.35, 103.8), (47.6, -122.3), (-33.9, 151.2)]
    picked = rng.permutation(len(spots))
    sites = [site(f"s{i}", spots[picked[i]], int(rng.integers(5, 90))) for i in range(3)]
    shares = rng.dirichlet(np.ones(3)) * 100
    callers = [
        caller(f"o{i}", spots[picked[i + 2]], float(shares[i]), line=("mobile", "landline", "mixed")[i])
        for i in range(3)
    ]
    targets = [target("t0", spots[picked[5]], 9.0, circular=bool(seed % 2)), target("t1", spots[picked[6]], 4.0)]
    return prepare(sites, callers, targets, draws=100, distances=straight)


def _moved(names, now, subject, share):
    """Shares with one moved and the others in their proportions [%]."""
    whole = sum(value for name, value in zip(names, now, strict=True) if name != subject)
    return {
        name: share if name == subject else (100.0 - share) * value / whole
        for name, value in zip(names, now, strict=True)
    }


@pytest.mark.parametrize("seed", range(8))
def test_every_tipping_point_of_random_clients_holds_on_both_sides(seed):
    ready = _random_client(seed)
    ranking = rank_prepared(ready)
    for tip in ranking.to_document()["recommendation"]["tipping_points"]:
        side = 0.05 if tip["to"] > tip["from"] else -0.05

        def winner(share, tip=tip):
            if tip["kind"] == "call_share":
                names = [o.origin_id for o in ready.callers]
                by_place = {(o.place or o.country or o.origin_id): o.origin_id for o in ready.callers}
                if len(by_place) < len(names):  # several origins of one country share their name
                    return None
                moved = _moved(names, [o.call_share_pct for o in ready.callers], by_place[tip["subject"]], share)
                return list(rank_prepared(ready, call_shares=moved).best.regions)
            if tip["kind"] == "agents":
                whole = sum(s.agents for s in ready.sites)
                now = [100.0 * s.agents / whole for s in ready.sites]
                moved = _moved([s.site_id for s in ready.sites], now, tip["subject"], share)
                return list(rank_prepared(ready, agents=moved).best.regions)
            return list(rank_prepared(ready, transfer_shares={tip["subject"]: share}).best.regions)

        before, after = winner(tip["to"] - side), winner(tip["to"] + side)
        if before is not None:
            assert before == list(ranking.best.regions), tip
            assert after == tip["winner_becomes"], tip


def test_the_random_clients_have_tipping_points_of_every_kind():
    kinds = {
        tip["kind"]
        for seed in range(8)
        for tip in rank_prepared(_random_client(seed)).to_document()["recommendation"]["tipping_points"]
    }
    assert kinds == {"call_share", "agents", "transfers"}


def test_combinations_that_were_not_simulated_have_no_probability_instead_of_none_at_all(monkeypatch):
    monkeypatch.setattr("ccp_assess.selection.ranking.SIMULATED_CELLS", 0)
    monkeypatch.setattr("ccp_assess.selection.ranking.MOST_SIMULATED", 2)
    document = rank_prepared(prepared(*MIXED), instances=2, constraints=Constraints()).to_document()
    combined = [option for option in document["options"] if option["kind"] == "instances" and option["rank"]]
    assert len(combined) > 2
    assert [option["probability_best_pct"] is None for option in combined] == [False] * 2 + [True] * (len(combined) - 2)
    assert any("first 2 were simulated" in caveat for caveat in document["recommendation"]["caveats"])


def test_all_combinations_of_a_small_client_are_simulated():
    document = rank_prepared(prepared(*MIXED), instances=3).to_document()
    assert all(option["probability_best_pct"] is not None for option in document["options"] if option["rank"])


def test_the_use_case_of_the_client_folder_counts_unless_the_command_says_otherwise(folder, rank_json):
    (folder / "client.toml").write_text('[client]\nuse_case = "video"\n', encoding="utf-8")
    assert rank_json()["rule"]["use_case"] == "video"
    assert rank_json("--use-case", "voice")["rule"]["use_case"] == "voice"
