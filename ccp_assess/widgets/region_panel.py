"""The Region panel: weights and constraints that move the ranking live.

Every control is an ordinary widget with a label, so that it works by keyboard and can be set from code::

    panel = show_region_panel(assessment)
    panel.callers.value = 2.0
    panel.excluded.value = ("eu-central-1",)

Where widgets do not work (an exported page, a viewer without a kernel), the panel shows itself as plain HTML.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Protocol

import ipywidgets

from ccp_assess.client import Client
from ccp_assess.client.scenarios import Scenario
from ccp_assess.errors import CcpAssessError
from ccp_assess.regions import read_regions
from ccp_assess.report.budgets import site_budgets
from ccp_assess.report.figures import draw_map
from ccp_assess.report.style import inline_svg
from ccp_assess.selection.document import region_words
from ccp_assess.selection.options import Constraints, Weights
from ccp_assess.selection.ranking import Ranking, rank_prepared
from ccp_assess.services import service_names
from ccp_assess.widgets.budget_html import budgets_html
from ccp_assess.widgets.controls import Slider
from ccp_assess.widgets.jobs import Latest
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, Panel, button, panel_box, problem_html, row
from ccp_assess.widgets.ranking_html import headline_html, ranking_html, sentences_html, tipping_html, waiting_html
from ccp_assess.widgets.region_map import new_map, show_option
from ccp_assess.widgets.whatif_box import WhatIfBox
from ccp_assess.widgets.workshop_box import WorkshopBox

LARGEST_WEIGHT = 3.0
REST_S = 0.25
"""Sentences, map and budgets follow when nothing has moved for this long [s]; the headline follows at once."""
SOON_S = 0.1
"""A table that takes longer than this is worked out beside the kernel's thread too [s]."""
RECOMMENDED = "the recommended one"

_STEP = 0.1


class RankAgain(Protocol):
    """Ranks the same client under other constraints and weights."""

    def __call__(self, *, constraints: Constraints, weights: Weights) -> Ranking:
        """Rank again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What the figures need of an assessment."""

    client: Client
    ranking: dict[str, Any]


class RegionPanel(Panel):
    """Weights, constraints, and the ranking that follows from them.

    Parameters
    ----------
    client
        The client, whose own weights and constraints the controls begin with.
    rank_again
        Ranks that client under other weights and constraints.
    own
        The ranking under the client's own.

    Attributes
    ----------
    agents, callers, transfers, hops
        Sliders: how much each part matters.
    excluded, residency, services
        Lists: Regions that may not be used, where data may lie, what the Region must offer.
    pair
        Whether a Global Resiliency pair is wanted.
    reset
        Button: back to what the client's folder says.
    headline, table
        The chosen option and all options; the headline follows every move at once.
    sentences, tipping, map, budgets
        The recommendation, what would change it, everybody's legs, and where the milliseconds go; they follow when the
        controls rest.
    look
        List: the option whose legs and budgets are shown; a Region pressed on the map chooses it too.
    whatif, workshop
        One change at a time; scenarios and decisions of the client folder.
    problem
        One sentence where a choice cannot be ranked.
    """

    def __init__(self, client: Client, rank_again: RankAgain, own: Ranking) -> None:
        self._client, self._rank_again = client, rank_again
        weights = client.weights
        self.agents = _slider("Agents", weights.agents)
        self.callers = _slider("Callers", weights.callers)
        self.transfers = _slider("Transfers", weights.transfers)
        self.hops = _slider("Hops", weights.hops)
        self.excluded = _several("Excluded", _region_choices(), 6)
        self.residency = _several("Data may lie in", _residency_choices(client.constraints), 6)
        self.services = _several("Must offer", _service_choices(client.constraints), 4)
        self.pair = ipywidgets.Checkbox(description="Global Resiliency pair", style=LABEL, layout=WIDE)
        self.reset = button("Back to the client's own")
        self.headline, self.problem = ipywidgets.HTML(), ipywidgets.HTML()
        self.sentences, self.table, self.tipping = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.look = ipywidgets.Dropdown(options=[(RECOMMENDED, ())], description="Look at", style=LABEL, layout=WIDE)
        self.budgets = ipywidgets.HTML()
        self._waiting: asyncio.TimerHandle | None = None
        self._latest: Latest[tuple[dict[str, Any], float]] = Latest()
        self._table_s = inf  # not known before the first change was worked out beside
        self._is_setting = False
        self._own = self._current = own
        self._document = self._own.to_document()
        self.map = new_map(client, self._document["recommendation"]["regions"])
        self.whatif = WhatIfBox(lambda: self._current)
        self.workshop = WorkshopBox(client.folder, lambda: (self.weights, self.constraints), self._open_scenario)
        self._pictures: dict[tuple[str, ...], str] = {}
        self.box = self._arranged()
        self._set(weights, client.constraints)
        self._show_rest(self._document)
        for control in self._controls:
            control.observe(self._on_change, names="value")
        self.excluded.observe(self._on_excluded, names="value")
        self.reset.on_click(self._on_reset)
        self.look.observe(self._on_look, names="value")
        self.map.observe(self._on_map, names="selected")

    @property
    def weights(self) -> Weights:
        """The weights as the sliders stand."""
        return Weights(
            agents=self.agents.value,
            callers=self.callers.value,
            transfers=self.transfers.value,
            hops=self.hops.value,
        )

    @property
    def constraints(self) -> Constraints:
        """The constraints as the controls stand; those without a control are the client's own."""
        return replace(
            self._client.constraints,
            excluded_regions=tuple(self.excluded.value),
            residency=tuple(self.residency.value),
            services=tuple(self.services.value),
            resiliency_pair=self.pair.value,
        )

    @property
    def ranking(self) -> Ranking:
        """The ranking that is shown."""
        return self._current

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            Headline, sentences, map, table and budgets, all of the same ranking.
        """
        self._stop_waiting()
        self._latest.forget()
        self._show_rest(self._current.to_document())
        parts = (self.headline, self.problem, self.sentences)
        more = (self.table, self.tipping, self.budgets)
        return f"<div>{_joined(parts)}{self._picture()}{_joined(more)}{self.workshop.log.value}</div>"

    def _plain_text(self) -> str:
        return " ".join(self._current.sentences)

    @property
    def _controls(self) -> tuple[Any, ...]:
        return (
            self.agents,
            self.callers,
            self.transfers,
            self.hops,
            self.excluded,
            self.residency,
            self.services,
            self.pair,
        )

    def _arranged(self) -> ipywidgets.Widget:
        controls = ipywidgets.VBox([*self._controls, self.reset], layout=ipywidgets.Layout(flex="0 0 auto"))
        results = ipywidgets.VBox(
            [self.headline, self.problem, self.sentences, self.map, self.look, self.table, self.tipping],
            layout=ipywidgets.Layout(flex="1 1 420px", min_width="0"),
        )
        both = row(controls, results)
        return panel_box(
            "region",
            "Where the instance should be: what matters, and what is allowed",
            [
                both,
                self.budgets,
                _heading("One change to the client"),
                self.whatif.box,
                _heading("Scenarios and decisions, kept in the client folder"),
                self.workshop.box,
            ],
        )

    # --- controls --------------------------------------------------------------------------------------------

    def _set(self, weights: Weights, constraints: Constraints) -> None:
        """Set the controls, as one change."""
        with self._as_one_change():
            for name in ("agents", "callers", "transfers", "hops"):
                slider = getattr(self, name)
                slider.max = max(slider.max, getattr(weights, name))
                slider.value = getattr(weights, name)
            self.excluded.value = _offered(self.excluded, constraints.excluded_regions)
            self.residency.value = _offered(self.residency, constraints.residency)
            self.services.value = _offered(self.services, constraints.services)
            self.pair.value = constraints.resiliency_pair

    @contextmanager
    def _as_one_change(self) -> Iterator[None]:
        self._is_setting = True
        try:
            yield
        finally:
            self._is_setting = False

    def _on_reset(self, _button: ipywidgets.Button) -> None:
        self._set(self._client.weights, self._client.constraints)
        self._rank()

    def _open_scenario(self, scenario: Scenario) -> None:
        self._set(scenario.weights, scenario.constraints)
        self._rank()

    def _on_change(self, _change: object) -> None:
        if not self._is_setting:
            self._rank()

    def _on_excluded(self, change: Any) -> None:
        """Propose the decision that was just made, so that only its reason has to be typed."""
        if self._is_setting:
            return
        added, freed = set(change["new"]) - set(change["old"]), set(change["old"]) - set(change["new"])
        for codes, word in ((added, "excluded"), (freed, "allowed again")):
            if codes:
                self.workshop.propose(f"Region {', '.join(sorted(codes))} {word}")
                return

    # --- ranking ---------------------------------------------------------------------------------------------

    def _rank(self) -> None:
        try:
            self._current = self._rank_again(constraints=self.constraints, weights=self.weights)
        except CcpAssessError as error:
            self.problem.value = problem_html(str(error), "What is shown is from before.")
            return
        self.problem.value = ""
        self._latest.forget()  # sentences of the one before would stand under the new headline
        for part in (self.sentences, self.tipping, self.budgets):
            part.value = waiting_html(part.value)
        if self._table_s <= SOON_S:
            self._show_table()
        else:
            self.headline.value = headline_html(self._current, self._own)
            self.table.value = waiting_html(self.table.value)
        self._when_at_rest(self._work_out_rest)

    def _show_table(self) -> None:
        self.headline.value = headline_html(self._current, self._own)
        self.table.value = ranking_html(self._current)

    def _work_out_rest(self) -> None:
        self._stop_waiting()
        current = self._current
        self._latest.ask(lambda: _worked_out(current), self._take_rest)

    def _take_rest(self, answer: tuple[dict[str, Any], float]) -> None:
        document, self._table_s = answer
        self._show_rest(document)

    def _show_rest(self, document: dict[str, Any]) -> None:
        """Show what takes longer: sentences with their tipping points, map and budgets."""
        self._document = document
        self._show_table()
        self.sentences.value = sentences_html(document["recommendation"]["sentences"])
        self.tipping.value = tipping_html(document)
        with self._as_one_change():
            self.look.options = [(RECOMMENDED, ()), *_options_to_look_at(document)]
            self.look.value = ()
        self._show_option()

    # --- the option that is looked at ------------------------------------------------------------------------

    def _on_look(self, _change: object) -> None:
        if not self._is_setting:
            self._show_option()

    def _on_map(self, change: Any) -> None:
        option = (change["new"],)
        if option in [value for _, value in self.look.options]:
            self.look.value = option

    def _show_option(self) -> None:
        regions = list(self.look.value or self._document["recommendation"]["regions"])
        budgets = site_budgets(self._client, self._document, regions)
        self.budgets.value = budgets_html(budgets, " and ".join(regions) or "no Region")
        show_option(self.map, self._client, self._document, regions)

    def _picture(self) -> str:
        """Return the map as a picture without scripts, drawn once for each choice."""
        recommended = tuple(self._document["recommendation"]["regions"])
        if recommended not in self._pictures:
            where = " and ".join(recommended) or "no Region"
            self._pictures[recommended] = inline_svg(
                draw_map(_Shown(client=self._client, ranking=self._document))[0],
                key="panel-map",
                title="Map of sites, callers and Regions",
                description=f"{where} recommended",
            )
        return self._pictures[recommended]

    # --- waiting ---------------------------------------------------------------------------------------------

    def _when_at_rest(self, show: Callable[[], None]) -> None:
        self._stop_waiting()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no notebook's kernel around us: nobody is waiting for the slider
            show()
            return
        self._waiting = loop.call_later(REST_S, show)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def show_region_panel(assessment: Any) -> RegionPanel:
    """Make the Region panel of an assessment.

    Parameters
    ----------
    assessment
        The assessment of a client.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.
    """
    ranked: Ranking = assessment.ranked
    instances = max((len(o.regions) for o in ranked.outcomes if o.option.kind == "instances"), default=1)
    rank_again = partial(rank_prepared, ranked.prepared, instances=instances, offers=ranked.offers)
    return RegionPanel(assessment.client, rank_again, ranked)


def _worked_out(ranking: Ranking) -> tuple[dict[str, Any], float]:
    """Return the document of a ranking, and how long the numbers of its table took [s]."""
    began = time.perf_counter()
    ranking.probabilities  # noqa: B018 - it is kept with the ranking
    took_s = time.perf_counter() - began
    return ranking.to_document(), took_s


def _slider(label: str, value: float) -> Slider:
    return Slider(value=value, min=0.0, max=max(LARGEST_WEIGHT, value), step=_STEP, description=label)


def _several(label: str, choices: list[tuple[str, str]], rows: int) -> Any:
    return ipywidgets.SelectMultiple(options=choices, description=label, rows=rows, layout=WIDE, style=LABEL)


def _offered(control: Any, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a list offers of what is wanted; it is widened by what it does not offer yet."""
    missing = [word for word in wanted if word not in [value for _, value in control.options]]
    if missing:
        control.options = (*control.options, *((word, word) for word in missing))
    return wanted


def _region_choices() -> list[tuple[str, str]]:
    return [(f"{code}  {region.place}", code) for code, region in read_regions().items()]


def _residency_choices(constraints: Constraints) -> list[tuple[str, str]]:
    countries = sorted({region.country for region in read_regions().values()} | set(constraints.residency) - {"EU"})
    return [("EU  European Union", "EU"), *((country, country) for country in countries)]


def _service_choices(constraints: Constraints) -> list[tuple[str, str]]:
    return [(name, name) for name in dict.fromkeys((*service_names(), *constraints.services))]


def _options_to_look_at(document: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (f"{option['rank']}. {region_words(tuple(option['regions']))}", tuple(option["regions"]))
        for option in document["options"]
        if option["rank"] is not None
    ]


def _heading(words: str) -> ipywidgets.Widget:
    return ipywidgets.HTML(
        f"<div role='heading' aria-level='4' style='font-weight:bold;{LINE};margin-top:8px'>{words}</div>"
    )


def _joined(parts: tuple[Any, ...]) -> str:
    return "".join(part.value for part in parts)
