"""The Region panel: weights and constraints that move the ranking live.

Every control is an ordinary widget with a label, so that it works by keyboard and can be set from code::

    panel = show_region_panel(assessment)
    panel.callers.value = 2.0
    panel.excluded.value = ("eu-central-1",)

Where widgets do not work (an exported page, a viewer without a kernel), the panel shows itself as plain HTML.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any, Protocol

import ipywidgets

from ccp_assess.client import Client
from ccp_assess.errors import CcpAssessError
from ccp_assess.regions import read_regions
from ccp_assess.report.figures import draw_map
from ccp_assess.selection.options import Constraints, Weights
from ccp_assess.selection.ranking import Ranking, rank_prepared
from ccp_assess.widgets.ranking_html import headline_html, problem_html, ranking_html, sentences_html, waiting_html

LARGEST_WEIGHT = 3.0
REST_S = 0.3
"""Sentences and map follow when nothing has moved for this long [s]; headline and table follow at once."""

_STEP = 0.1
_WIDE = ipywidgets.Layout(width="360px")
_LABEL = {"description_width": "120px"}


class RankAgain(Protocol):
    """Ranks the same client under other constraints and weights."""

    def __call__(self, *, constraints: Constraints, weights: Weights) -> Ranking:
        """Rank again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What the figures need of an assessment."""

    client: Client
    ranking: dict[str, Any]


class RegionPanel:
    """Weights, constraints, and the ranking that follows from them.

    Parameters
    ----------
    client
        The client, whose own weights and constraints the controls begin with.
    rank_again
        Ranks that client under other weights and constraints.

    Attributes
    ----------
    agents, callers, transfers, hops
        Sliders: how much each part matters.
    excluded, residency
        Lists: Regions that may not be used, and where data may lie.
    pair
        Whether a Global Resiliency pair is wanted.
    reset
        Button: back to what the client's folder says.
    headline, table
        The chosen option and all options; they follow every move at once.
    sentences, map
        The recommendation in sentences and the map; they follow when the controls rest.
    problem
        One sentence where a choice cannot be ranked.
    box
        All of it.
    """

    def __init__(self, client: Client, rank_again: RankAgain) -> None:
        self._client, self._rank_again = client, rank_again
        weights = client.weights
        self.agents = _slider("Agents", weights.agents)
        self.callers = _slider("Callers", weights.callers)
        self.transfers = _slider("Transfers", weights.transfers)
        self.hops = _slider("Hops", weights.hops)
        self.excluded = ipywidgets.SelectMultiple(
            options=_region_choices(), description="Excluded", rows=6, layout=_WIDE, style=_LABEL
        )
        self.residency = ipywidgets.SelectMultiple(
            options=_residency_choices(client.constraints),
            description="Data may lie in",
            rows=6,
            layout=_WIDE,
            style=_LABEL,
        )
        self.pair = ipywidgets.Checkbox(description="Global Resiliency pair", style=_LABEL, layout=_WIDE)
        self.reset = ipywidgets.Button(
            description="Back to the client's own", layout=ipywidgets.Layout(width="240px", margin="0 0 0 120px")
        )
        self.headline, self.problem = ipywidgets.HTML(), ipywidgets.HTML()
        self.sentences, self.table, self.map = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.box = self._arranged()
        self._maps: dict[tuple[str, ...], str] = {}
        self._waiting: asyncio.TimerHandle | None = None
        self._is_setting = False
        self._own = self._current = self._rank_again(constraints=client.constraints, weights=client.weights)
        self._set_own()
        self._show_quick()
        self._show_rest()
        for control in self._controls:
            control.observe(self._on_change, names="value")
        self.reset.on_click(self._on_reset)

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
            Headline, sentences, table and map, all of the same ranking.
        """
        self._show_rest()
        parts = (self.headline, self.problem, self.sentences, self.table, self.map)
        return "<div>" + "".join(part.value for part in parts) + "</div>"

    @property
    def _controls(self) -> tuple[Any, ...]:
        return (
            self.agents,
            self.callers,
            self.transfers,
            self.hops,
            self.excluded,
            self.residency,
            self.pair,
        )

    def _arranged(self) -> ipywidgets.Widget:
        heading = ipywidgets.HTML("<strong>What matters, and what is allowed</strong>")
        controls = ipywidgets.VBox([heading, *self._controls, self.reset], layout=ipywidgets.Layout(flex="0 0 auto"))
        results = ipywidgets.VBox(
            [self.headline, self.problem, self.sentences, self.table, self.map],
            layout=ipywidgets.Layout(flex="1 1 420px", min_width="420px", margin="0 0 0 16px"),
        )
        box = ipywidgets.Box([controls, results], layout=ipywidgets.Layout(display="flex", flex_flow="row wrap"))
        box.add_class("ccp-region-panel")
        return box

    def _set_own(self) -> None:
        """Set the controls to what the client's folder says."""
        weights, constraints = self._client.weights, self._client.constraints
        with self._as_one_change():
            self.agents.value, self.callers.value = weights.agents, weights.callers
            self.transfers.value, self.hops.value = weights.transfers, weights.hops
            self.excluded.value = constraints.excluded_regions
            self.residency.value = constraints.residency
            self.pair.value = constraints.resiliency_pair

    @contextmanager
    def _as_one_change(self) -> Iterator[None]:
        self._is_setting = True
        try:
            yield
        finally:
            self._is_setting = False

    def _on_reset(self, _button: ipywidgets.Button) -> None:
        self._set_own()
        self._rank()

    def _on_change(self, _change: object) -> None:
        if not self._is_setting:
            self._rank()

    def _rank(self) -> None:
        try:
            self._current = self._rank_again(constraints=self.constraints, weights=self.weights)
        except CcpAssessError as error:
            self.problem.value = problem_html(str(error))
            return
        self.sentences.value = waiting_html(self.sentences.value)
        self._show_quick()
        self._when_at_rest(self._show_rest)

    def _show_quick(self) -> None:
        self.problem.value = ""
        self.headline.value = headline_html(self._current, self._own)
        self.table.value = ranking_html(self._current)

    def _show_rest(self) -> None:
        """Show what takes longer: sentences with their tipping points, and the map, once for each choice."""
        self._stop_waiting()
        document = self._current.to_document()
        self.sentences.value = sentences_html(document["recommendation"]["sentences"])
        recommended = tuple(document["recommendation"]["regions"])
        if recommended not in self._maps:
            self._maps[recommended] = _map_html(_Shown(client=self._client, ranking=document), recommended)
        self.map.value = self._maps[recommended]

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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """Show the widgets, or the plain HTML where there are none."""
        bundle = self.box._repr_mimebundle_(include=include, exclude=exclude)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self.static_html(), "text/plain": " ".join(self._current.sentences)}, metadata


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
    return RegionPanel(assessment.client, rank_again)


def _slider(label: str, value: float) -> Any:
    return ipywidgets.FloatSlider(
        value=value,
        min=0.0,
        max=max(LARGEST_WEIGHT, value),
        step=_STEP,
        description=label,
        readout_format=".1f",
        layout=_WIDE,
        style=_LABEL,
    )


def _region_choices() -> list[tuple[str, str]]:
    return [(f"{code}  {region.place}", code) for code, region in read_regions().items()]


def _residency_choices(constraints: Constraints) -> list[tuple[str, str]]:
    countries = sorted({region.country for region in read_regions().values()} | set(constraints.residency) - {"EU"})
    return [("EU  European Union", "EU"), *((country, country) for country in countries)]


def _map_html(shown: _Shown, recommended: tuple[str, ...]) -> str:
    figure, _ = draw_map(shown)
    data = BytesIO()
    figure.savefig(data, format="png", dpi=110)
    picture = base64.b64encode(data.getvalue()).decode("ascii")
    where = " and ".join(recommended) or "no Region"
    return (
        f'<img alt="Map of sites, callers and Regions; {where} recommended" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{picture}">'
    )
