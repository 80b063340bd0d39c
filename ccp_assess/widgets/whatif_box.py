"""What if: one change to the client, asked for by a few controls and answered in a sentence with its band."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets

from ccp_assess.errors import CcpAssessError
from ccp_assess.geo import find_place
from ccp_assess.report.words import clean
from ccp_assess.selection import whatif
from ccp_assess.selection.ranking import Ranking
from ccp_assess.selection.whatif import WhatIf
from ccp_assess.sites import Site
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, button, problem_html, row

_CHANGES = (
    ("Agents move from one site to another", "move"),
    ("A site is closed", "close"),
    ("A site is added", "add"),
    ("A site gets Direct Connect", "direct_connect"),
    ("A VPN lets the softphone out locally (split tunnel)", "split_tunnel"),
    ("A site leaves locally instead of through its hub", "local_breakout"),
    ("Fewer circular transfers", "circular"),
)
_NEEDS: dict[str, tuple[str, ...]] = {
    "move": ("site", "to_site", "agents"),
    "close": ("site",),
    "add": ("place", "agents"),
    "direct_connect": ("site",),
    "split_tunnel": ("site",),
    "local_breakout": ("site",),
    "circular": ("percent",),
}


class WhatIfBox:
    """Questions to a ranking.

    Parameters
    ----------
    ranking
        Returns the ranking that is shown.

    Attributes
    ----------
    change, site, to_site, agents, place, percent
        What changes, and by how much.
    ask
        Button.
    answers
        What came out, the last answer first.
    box
        All of it.
    """

    def __init__(self, ranking: Callable[[], Ranking]) -> None:
        self._ranking = ranking
        sites = [(f"{site.site_id}  {site.name}", site.site_id) for site in ranking().prepared.sites]
        self.change = ipywidgets.Dropdown(options=_CHANGES, description="What if", style=LABEL, layout=WIDE)
        self.site = ipywidgets.Dropdown(options=sites, description="Site", style=LABEL)
        self.to_site = ipywidgets.Dropdown(options=sites[::-1], description="To site", style=LABEL)
        self.place = ipywidgets.Text(description="Place", placeholder="Lisbon, PT", style=LABEL)
        self.agents = ipywidgets.BoundedIntText(description="Agents", value=10, min=0, max=1_000_000, style=LABEL)
        self.percent = ipywidgets.BoundedIntText(description="Fewer by [%]", value=50, min=0, max=100, style=LABEL)
        self.ask = button("Ask")
        self.answers = ipywidgets.HTML()
        self._told: list[str] = []
        self.job: Job[WhatIf] = Job(self._answer)
        fields = [self.site, self.to_site, self.place, self.agents, self.percent]
        for field in fields:  # each has a layout of its own, since it comes and goes
            field.layout.width, field.layout.max_width = "360px", "100%"
        self.box = ipywidgets.VBox([row(self.change, *fields, self.ask), self.job.box, self.answers])
        self.change.observe(self._on_change, names="value")
        self.ask.on_click(self._on_ask)
        self._on_change(None)

    def _on_change(self, _change: object) -> None:
        for name in ("site", "to_site", "place", "agents", "percent"):
            getattr(self, name).layout.display = "" if name in _NEEDS[self.change.value] else "none"

    def _on_ask(self, _button: object) -> None:
        try:
            question = self._question(self._ranking())
        except CcpAssessError as error:
            self.job.shown.value = problem_html(str(error))
            return
        self.job.start(lambda _progress: question(), "simulating both variants")

    def _question(self, ranking: Ranking) -> Callable[[], WhatIf]:
        site_id, other, agents = self.site.value, self.to_site.value, self.agents.value
        if self.change.value == "add":
            site = _new_site(ranking, self.place.value, agents)
            return lambda: whatif.add_site(ranking, site)
        percent = float(self.percent.value)
        questions: dict[str, Callable[[], WhatIf]] = {
            "move": lambda: whatif.move_agents(ranking, site_id, other, agents),
            "close": lambda: whatif.close_site(ranking, site_id),
            "direct_connect": lambda: whatif.direct_connect(ranking, site_id),
            "split_tunnel": lambda: whatif.split_tunnel(ranking, site_id),
            "local_breakout": lambda: whatif.local_breakout(ranking, site_id),
            "circular": lambda: whatif.fewer_circular_transfers(ranking, percent),
        }
        return questions[self.change.value]

    def _answer(self, answer: WhatIf) -> None:
        self._told.insert(0, answer.sentence)
        items = "".join(f"<li>{escape(clean(sentence, 600))}</li>" for sentence in self._told[:8])
        self.answers.value = f"<div role='status'><ul class='ccp-answers' style='{LINE}'>{items}</ul></div>"


def _new_site(ranking: Ranking, place: str, agents: int) -> Site:
    found = find_place(place)
    taken = {site.site_id for site in ranking.prepared.sites}
    site_id = next(name for number in range(1, len(taken) + 2) if (name := f"NEW-{number}") not in taken)
    return Site(
        site_id=site_id,
        name=f"a site in {found.name}",
        latitude=found.latitude,
        longitude=found.longitude,
        country=found.country,
        agents=agents,
    )
