"""The Region panel without a browser: set a control, see what is shown."""

import asyncio
import re
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccp_assess.client import Client
from ccp_assess.client.decisions import read_decisions
from ccp_assess.client.scenarios import read_scenarios
from ccp_assess.selection.options import Constraints, Weights
from ccp_assess.selection.ranking import Ranking, rank
from ccp_assess.sites import CallerOrigin, Site
from ccp_assess.widgets import RegionPanel, region_panel, show_region_panel

HOSTILE = "<script>alert('site')</script>"


def client_between_two_worlds(folder: Path = Path("nowhere")) -> Client:
    """Return agents in Frankfurt whose callers are in Sydney: weights decide where the instance goes."""
    return Client(
        name=HOSTILE,
        folder=folder,
        sites=(
            Site(site_id=HOSTILE, name=HOSTILE, latitude=50.1, longitude=8.7, country="DE", agents=100),
            Site(site_id="SYD", name="Sydney", latitude=-33.9, longitude=151.2, country="AU", agents=1),
        ),
        callers=(CallerOrigin(origin_id="AU", latitude=-33.9, longitude=151.2, country="AU", call_share_pct=100.0),),
    )


def ranked(client: Client) -> Ranking:
    return rank(client.sites, client.callers, constraints=client.constraints, weights=client.weights, draws=200)


def panel_of(client: Client) -> RegionPanel:
    return show_region_panel(SimpleNamespace(client=client, ranked=ranked(client)))


@pytest.fixture
def panel(tmp_path: Path) -> RegionPanel:
    return panel_of(client_between_two_worlds(tmp_path))


def best(panel: RegionPanel) -> tuple[str, ...]:
    assert panel.ranking.best is not None
    return panel.ranking.best.regions


def test_it_opens_with_the_clients_own_settings_and_the_same_answer_as_the_ranking() -> None:
    client = replace(
        client_between_two_worlds(),
        weights=Weights(agents=0.5, callers=2.5, hops=0.2),
        constraints=Constraints(excluded_regions=("us-east-1",), residency=("EU", "AU"), services=("voice",)),
    )
    panel = panel_of(client)
    assert (panel.agents.value, panel.callers.value, panel.hops.value) == (0.5, 2.5, 0.2)
    assert panel.excluded.value == ("us-east-1",)
    assert panel.residency.value == ("EU", "AU")
    assert panel.services.value == ("voice",)
    assert panel.constraints == client.constraints
    assert panel.ranking.to_document() == ranked(client).to_document()


def test_moving_weights_from_agents_to_callers_changes_the_numbers_and_the_sentences(panel: RegionPanel) -> None:
    before = (panel.table.value, panel.sentences.value, panel.budgets.value)
    panel.agents.value = 0.0
    panel.callers.value = 3.0
    assert best(panel) == ("ap-southeast-2",)
    after = (panel.table.value, panel.sentences.value, panel.budgets.value)
    assert all(new != old for new, old in zip(after, before, strict=True))
    assert "ap-southeast-2" in panel.headline.value
    assert "ap-southeast-2" in panel.map.description


def test_excluding_the_winner_brings_another_and_says_what_the_clients_own_settings_give(panel: RegionPanel) -> None:
    (winner,) = best(panel)
    panel.excluded.value = (winner,)
    assert best(panel) != (winner,)
    assert "own settings give" in panel.headline.value
    assert winner in panel.headline.value
    assert "named by the client" in panel.table.value


def test_several_instances_stay_several_instances() -> None:
    client = client_between_two_worlds()
    two = rank(client.sites, client.callers, instances=2, draws=50)
    panel = show_region_panel(SimpleNamespace(client=client, ranked=two))
    panel.callers.value = 1.5
    assert max(len(outcome.regions) for outcome in panel.ranking.outcomes) == 2


def test_residency_services_and_a_pair_are_constraints(panel: RegionPanel) -> None:
    panel.residency.value = ("EU",)
    assert best(panel) == ("eu-central-1",)
    panel.residency.value = ()
    panel.pair.value = True
    assert len(best(panel)) == 2
    panel.pair.value = False
    panel.services.value = (panel.services.options[0][1],)
    assert panel.constraints.services == panel.services.value


def test_nothing_left_is_said_and_is_no_error(panel: RegionPanel) -> None:
    panel.residency.value = ("IN",)
    assert "No option meets the constraints" in panel.headline.value
    assert panel.sentences.value
    assert panel.budgets.value == ""
    assert "no Region" in panel.map.description


def test_an_impossible_choice_is_one_sentence_in_the_panel_and_the_answer_stays(panel: RegionPanel) -> None:
    before = panel.table.value
    for weight in (panel.transfers, panel.agents, panel.callers):
        weight.value = 0.0
    assert "role='alert'" in panel.problem.value
    assert "weights of agents, callers and transfers are all 0" in panel.problem.value
    assert panel.ranking.best is not None
    panel.transfers.value = 1.0
    assert "no calls are transferred" in panel.problem.value
    panel.agents.value = 1.0
    assert panel.problem.value == ""
    assert panel.table.value != "" != before


def test_the_button_goes_back_to_the_clients_own_settings(panel: RegionPanel) -> None:
    before = panel.static_html()
    panel.callers.value = 2.9
    panel.excluded.value = ("eu-central-1", "ap-southeast-2")
    panel.reset.click()
    assert panel.weights == Weights()
    assert panel.excluded.value == ()
    assert panel.static_html() == before


def test_a_region_pressed_on_the_map_shows_its_legs_and_budgets_until_something_moves(panel: RegionPanel) -> None:
    own = panel.budgets.value
    (winner,) = best(panel)
    panel.map.selected = "us-east-1"
    assert panel.look.value == ("us-east-1",)
    assert "us-east-1" in panel.budgets.value
    assert "us-east-1" in panel.map.description
    assert [mark["key"] for mark in panel.map.marks if mark["kind"] == "chosen"] == ["us-east-1"]
    panel.look.value = ()
    assert panel.budgets.value == own
    assert winner in panel.map.description


def test_the_map_shows_every_place_and_a_leg_of_its_basis_for_each(panel: RegionPanel) -> None:
    kinds = [mark["kind"] for mark in panel.map.marks]
    assert (kinds.count("site"), kinds.count("caller"), kinds.count("chosen")) == (2, 1, 1)
    assert len(panel.map.legs) == 3
    assert all("modelled" in leg["text"] and leg["dash"] for leg in panel.map.legs)
    assert panel.map.land.startswith("M")
    left, top, wide, high = panel.map.view
    for mark in panel.map.marks:
        if mark["kind"] != "region":
            assert left <= mark["x"] <= left + wide
            assert top <= mark["y"] <= top + high


def test_the_budget_tells_parts_and_basis_in_words_too(panel: RegionPanel) -> None:
    assert "Agent leg, network" in panel.budgets.value
    assert "modelled" in panel.budgets.value
    assert panel.budgets.value.count("<tr>") == 2


def test_what_would_change_the_answer_is_listed() -> None:
    client = client_between_two_worlds()
    client = replace(client, sites=(client.sites[0], replace(client.sites[1], agents=40)))
    panel = panel_of(client)
    points = panel.ranking.to_document()["recommendation"]["tipping_points"]
    assert points
    assert panel.tipping.value.count("<li>") == len(points)


def test_scenarios_are_kept_in_the_client_folder_and_opened_again(panel: RegionPanel, tmp_path: Path) -> None:
    panel.callers.value = 2.5
    panel.residency.value = ("EU",)
    panel.workshop.name.value = "Europe only"
    panel.workshop.save.click()
    (kept,) = read_scenarios(tmp_path)
    assert (kept.name, kept.weights.callers, kept.constraints.residency) == ("Europe only", 2.5, ("EU",))
    panel.reset.click()
    assert panel.residency.value == ()
    again = panel_of(client_between_two_worlds(tmp_path))
    again.workshop.scenarios.value = again.workshop.scenarios.options[1][1]
    again.workshop.open.click()
    assert (again.callers.value, again.residency.value) == (2.5, ("EU",))
    assert best(again) == ("eu-central-1",)
    again.workshop.delete.click()
    assert read_scenarios(tmp_path) == ()


def test_an_exclusion_proposes_the_words_of_a_decision_and_writing_it_down_fills_the_log(
    panel: RegionPanel, tmp_path: Path
) -> None:
    panel.excluded.value = ("us-east-1",)
    assert panel.workshop.decision.value == "Region us-east-1 excluded"
    panel.workshop.why.value = HOSTILE
    panel.workshop.who.value = "Ann"
    panel.workshop.decide.click()
    (decision,) = read_decisions(tmp_path)
    assert (decision.decision, decision.why, decision.who) == ("Region us-east-1 excluded", HOSTILE, "Ann")
    assert "Region us-east-1 excluded" in panel.workshop.log.value
    assert "<script" not in panel.workshop.log.value
    panel.excluded.value = ()
    assert panel.workshop.decision.value == "Region us-east-1 allowed again"


def test_what_cannot_be_kept_is_a_sentence(panel: RegionPanel, tmp_path: Path) -> None:
    panel.workshop.save.click()
    assert "give the scenario a name" in panel.workshop.said.value
    panel.workshop.decide.click()
    assert "say what was decided" in panel.workshop.said.value
    (tmp_path / "scenarios.json").write_text("broken", encoding="utf-8")
    panel.workshop.name.value = "x"
    panel.workshop.save.click()
    assert "scenarios cannot be read" in panel.workshop.said.value


def test_without_a_client_folder_nothing_is_kept_and_no_folder_is_made() -> None:
    panel = panel_of(client_between_two_worlds(Path("CLIENT_DIR")))
    assert "no client folder" in panel.workshop.box.children[0].value
    assert not Path("CLIENT_DIR").exists()


def test_one_change_at_a_time_is_answered_in_a_sentence(panel: RegionPanel) -> None:
    box = panel.whatif
    box.change.value, box.site.value, box.to_site.value, box.agents.value = "move", HOSTILE, "SYD", 60
    box.ask.click()
    assert "Moving 60 agents" in box.answers.value
    assert "ms from mouth to ear" in box.answers.value
    assert "<script" not in box.answers.value
    box.change.value, box.place.value, box.agents.value = "add", "Lisbon, PT", 500
    box.ask.click()
    assert "Adding a site in Lisbon with 500 agents" in box.answers.value
    box.change.value = "split_tunnel"
    box.ask.click()
    assert "a split tunnel concerns a vpn" in box.job.shown.value
    box.change.value, box.place.value = "add", "Nowhereville"
    box.ask.click()
    assert "role='alert'" in box.job.shown.value


def test_only_the_controls_that_a_question_needs_are_shown(panel: RegionPanel) -> None:
    panel.whatif.change.value = "close"
    shown = [n for n in ("site", "to_site", "place", "agents") if getattr(panel.whatif, n).layout.display != "none"]
    assert shown == ["site"]


def test_the_picture_of_the_map_is_drawn_once_for_each_choice(
    panel: RegionPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    draw = region_panel.draw_map

    def counted(result: Any) -> Any:
        drawn.append(result)
        return draw(result)

    monkeypatch.setattr(region_panel, "draw_map", counted)
    first = panel.static_html()
    assert panel.static_html() == first
    assert len(drawn) == 1
    panel.excluded.value = best(panel)
    panel.static_html()
    assert len(drawn) == 2


def test_what_the_client_wrote_is_escaped(panel: RegionPanel) -> None:
    assert "<script" not in panel.static_html()
    assert HOSTILE in panel.map.marks[-3]["text"] or any(HOSTILE in mark["text"] for mark in panel.map.marks)


def test_it_shows_itself_as_widgets_and_as_plain_html(panel: RegionPanel) -> None:
    data, _ = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"] == panel.static_html()
    assert "ccp-ranking" in data["text/html"]
    assert "Map of sites" in data["text/html"]
    assert data["text/plain"].startswith("Create the instance in")


def test_every_control_has_a_label(panel: RegionPanel) -> None:
    labels = [control.description for control in panel._controls]
    assert all(labels)
    assert len(set(labels)) == len(labels)


def test_in_a_notebook_the_sentences_follow_when_the_slider_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_panel, "REST_S", 0.01)
    panel = panel_of(client_between_two_worlds())

    async def move() -> tuple[str, str]:
        panel.agents.value = 0.0
        panel.callers.value = 2.0
        at_once = panel.sentences.value
        shown = asyncio.Event()
        panel.sentences.observe(lambda _: shown.set(), names="value")
        await asyncio.wait_for(shown.wait(), timeout=60)
        return at_once, panel.sentences.value

    before = panel.sentences.value
    at_once, later = asyncio.run(move())
    assert before in at_once
    assert "aria-busy" in at_once
    assert "aria-busy" not in later
    assert "ap-southeast-2" in later
    assert "ap-southeast-2" in panel.headline.value


def test_no_sentences_of_the_one_before_stand_under_a_new_headline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_panel, "REST_S", 0.01)
    panel = panel_of(client_between_two_worlds())
    works, began, go_on = region_panel._worked_out, threading.Event(), threading.Event()

    def slow(ranking: Ranking) -> tuple[dict[str, Any], float]:
        began.set()
        assert go_on.wait(30)
        return works(ranking)

    monkeypatch.setattr(region_panel, "_worked_out", slow)

    async def move() -> str:
        panel.callers.value = 0.5
        await asyncio.to_thread(began.wait, 30)
        monkeypatch.setattr(region_panel, "REST_S", 0.5)
        panel.agents.value, panel.callers.value = 0.0, 2.0  # before the sentences of the first move are there
        shown = asyncio.Event()
        panel.sentences.observe(lambda _: shown.set(), names="value")
        go_on.set()
        await shown.wait()
        return panel.sentences.value

    sentences = asyncio.run(asyncio.wait_for(move(), timeout=60))
    assert "aria-busy" not in sentences
    assert "ap-southeast-2" in sentences


def test_a_slow_table_is_paled_at_once_and_comes_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_panel, "REST_S", 0.01)
    monkeypatch.setattr(region_panel, "SOON_S", -1.0)
    panel = panel_of(client_between_two_worlds())

    async def move() -> str:
        panel.agents.value = 0.0
        panel.callers.value = 2.0
        at_once = panel.table.value
        shown = asyncio.Event()
        panel.table.observe(lambda _: shown.set(), names="value")
        await asyncio.wait_for(shown.wait(), timeout=60)
        return at_once

    assert "aria-busy" in asyncio.run(move())
    assert "aria-busy" not in panel.table.value


def test_the_table_shows_the_numbers_of_the_document(panel: RegionPanel) -> None:
    options = [option for option in panel.ranking.to_document()["options"] if option["rank"] is not None]
    rows = re.findall(r"<tr><td.*?</tr>", panel.table.value)
    assert len(rows) == min(len(options), 12)
    for row, option in zip(rows, options, strict=False):
        assert " + ".join(option["regions"]) in row
        assert f"{option['mos_cqe']['mean']:.2f}" in row
