"""The Region panel without a browser: set a control, see what is shown."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ccp_assess.client import Client
from ccp_assess.selection.options import Constraints, Weights
from ccp_assess.selection.ranking import Ranking, rank
from ccp_assess.sites import CallerOrigin, Site
from ccp_assess.widgets import RegionPanel, region_panel, show_region_panel

HOSTILE = "<script>alert('site')</script>"


def client_between_two_worlds() -> Client:
    """Return agents in Frankfurt whose callers are in Sydney: weights decide where the instance goes."""
    return Client(
        name=HOSTILE,
        folder=Path("nowhere"),
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
def panel() -> RegionPanel:
    return panel_of(client_between_two_worlds())


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
    assert panel.constraints == client.constraints
    assert panel.ranking.to_document() == ranked(client).to_document()


def test_moving_weights_from_agents_to_callers_changes_the_numbers_and_the_sentences(panel: RegionPanel) -> None:
    before = (panel.table.value, panel.sentences.value)
    panel.agents.value = 0.0
    panel.callers.value = 3.0
    assert best(panel) == ("ap-southeast-2",)
    assert (panel.table.value, panel.sentences.value) != before
    assert "ap-southeast-2" in panel.headline.value


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


def test_residency_and_a_pair_are_constraints(panel: RegionPanel) -> None:
    panel.residency.value = ("EU",)
    assert best(panel) == ("eu-central-1",)
    panel.residency.value = ()
    panel.pair.value = True
    assert len(best(panel)) == 2


def test_nothing_left_is_said_and_is_no_error(panel: RegionPanel) -> None:
    panel.residency.value = ("IN",)
    assert "No option meets the constraints" in panel.headline.value
    assert panel.sentences.value


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


def test_the_map_is_drawn_once_for_each_choice(panel: RegionPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    draw = region_panel.draw_map

    def counted(result: Any) -> Any:
        drawn.append(result)
        return draw(result)

    monkeypatch.setattr(region_panel, "draw_map", counted)
    first = panel.map.value
    (winner,) = best(panel)
    panel.excluded.value = (winner,)
    assert len(drawn) == 1
    panel.excluded.value = ()
    assert len(drawn) == 1
    assert panel.map.value == first


def test_what_the_client_wrote_is_escaped(panel: RegionPanel) -> None:
    assert "<script" not in panel.static_html()


def test_it_shows_itself_as_widgets_and_as_plain_html(panel: RegionPanel) -> None:
    data, _ = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"] == panel.static_html()
    assert "ccp-ranking" in data["text/html"]
    assert 'alt="Map of' in data["text/html"]
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


def test_the_table_shows_the_numbers_of_the_document(panel: RegionPanel) -> None:
    options = [option for option in panel.ranking.to_document()["options"] if option["rank"] is not None]
    rows = re.findall(r"<tr><td.*?</tr>", panel.table.value)
    assert len(rows) == min(len(options), 12)
    for row, option in zip(rows, options, strict=False):
        assert " + ".join(option["regions"]) in row
        assert f"{option['mos_cqe']['mean']:.2f}" in row
