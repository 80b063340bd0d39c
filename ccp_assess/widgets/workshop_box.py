"""What a workshop leaves behind in the client folder: named scenarios and the decision log."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets

from ccp_assess.client.decisions import Decision, add_decision, read_decisions
from ccp_assess.client.scenarios import Scenario, delete_scenario, read_scenarios, save_scenario
from ccp_assess.errors import CcpAssessError
from ccp_assess.report.style import QUIET
from ccp_assess.report.words import clean, minute
from ccp_assess.selection.options import Constraints, Weights
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, button, problem_html, row, said_html

_NONE = "none chosen"
MOST_SHOWN = 12


class WorkshopBox:
    """Scenarios to save and reopen, and decisions to write down.

    Parameters
    ----------
    folder
        The client folder.
    choices
        Returns the weights and constraints as they stand.
    open_scenario
        Sets them.

    Attributes
    ----------
    name, save
        Text and button: keep what is shown under a name.
    scenarios, open, delete
        List of those that were kept, and the buttons that set the controls by one and take one away.
    decision, why, who, decide
        Texts and button: write down what was decided.
    log
        What was decided so far.
    box
        All of it.
    """

    def __init__(
        self,
        folder: Path,
        choices: Callable[[], tuple[Weights, Constraints]],
        open_scenario: Callable[[Scenario], None],
    ) -> None:
        self._folder, self._choices, self._open_scenario = folder, choices, open_scenario
        self.name = ipywidgets.Text(description="Scenario", placeholder="a name for it", style=LABEL, layout=WIDE)
        self.save = button("Keep this scenario")
        self.scenarios = ipywidgets.Dropdown(description="Kept ones", style=LABEL, layout=WIDE)
        self.open = button("Open it")
        self.delete = button("Delete it")
        self.decision = ipywidgets.Text(
            description="Decided", placeholder="Region us-east-1 excluded", style=LABEL, layout=WIDE
        )
        self.why = ipywidgets.Text(description="Why", placeholder="the reason given", style=LABEL, layout=WIDE)
        self.who = ipywidgets.Text(description="Who", placeholder="names, if wanted", style=LABEL, layout=WIDE)
        self.decide = button("Write it down")
        self.said, self.log = ipywidgets.HTML(), ipywidgets.HTML()
        self._found: tuple[Scenario, ...] = ()
        self.box = ipywidgets.VBox(
            [
                row(self.name, self.save),
                row(self.scenarios, self.open, self.delete),
                row(self.decision, self.why, self.who, self.decide),
                self.said,
                self.log,
            ]
        )
        self.save.on_click(self._on_save)
        self.delete.on_click(self._on_delete)
        self.decide.on_click(self._on_decide)
        self.open.on_click(self._on_open)
        if folder.is_dir():
            self._list()
            self._show_log()
        else:  # masked names lead to no folder
            self.box.children = [ipywidgets.HTML(said_html("Nothing can be kept here: there is no client folder."))]

    def propose(self, decision: str) -> None:
        """Put words for a decision into the text, so that only the reason has to be typed.

        Parameters
        ----------
        decision
            Such as ``Region us-east-1 excluded``.
        """
        self.decision.value = decision

    def _list(self, chosen: str = "") -> None:
        found: tuple[Scenario, ...] = ()
        try:
            found = read_scenarios(self._folder)
        except CcpAssessError as error:
            self.said.value = problem_html(str(error))
        self._found = found
        self.scenarios.options = [(_NONE, ""), *((f"{one.name}  ({minute(one.saved)})", one.name) for one in found)]
        self.scenarios.value = next((one.name for one in found if one.name.casefold() == chosen.casefold()), "")

    def _show_log(self) -> None:
        try:
            decisions = read_decisions(self._folder)
        except (CcpAssessError, OSError) as error:
            self.log.value = problem_html(str(error))
            return
        self.log.value = decisions_html(decisions)

    def _on_open(self, _button: object) -> None:
        found = next((one for one in self._found if one.name == self.scenarios.value), None)
        if found is None:
            self.said.value = problem_html("Choose the scenario to open among the kept ones first.")
            return
        self.name.value = found.name
        self._open_scenario(found)
        self.said.value = said_html(f"Opened {clean(found.name, 80)}.")

    def _on_save(self, _button: object) -> None:
        weights, constraints = self._choices()
        try:
            save_scenario(self._folder, self.name.value, weights, constraints)
        except CcpAssessError as error:
            self.said.value = problem_html(str(error))
            return
        self._list(" ".join(self.name.value.split()))
        self.said.value = said_html(f"Kept {clean(self.name.value, 80)} in the client folder.")

    def _on_delete(self, _button: object) -> None:
        if not self.scenarios.value:
            self.said.value = problem_html("Choose the scenario to delete among the kept ones first.")
            return
        name = self.scenarios.value
        try:
            delete_scenario(self._folder, name)
        except CcpAssessError as error:
            self.said.value = problem_html(str(error))
            return
        self._list()
        self.said.value = said_html(f"Deleted {clean(name, 80)}.")

    def _on_decide(self, _button: object) -> None:
        try:
            decisions = add_decision(self._folder, self.decision.value, why=self.why.value, who=self.who.value)
        except CcpAssessError as error:
            self.said.value = problem_html(str(error))
            return
        self.decision.value = self.why.value = ""
        self.log.value = decisions_html(decisions)
        self.said.value = said_html("Written into decisions.csv of the client folder; the report shows it.")


def decisions_html(decisions: tuple[Decision, ...]) -> str:
    """Return the decision log, the last decision first.

    Parameters
    ----------
    decisions
        In the order in which they were taken.

    Returns
    -------
    html
        A list; empty without decisions.
    """
    if not decisions:
        return ""
    items = "".join(
        f"<li>{escape(clean(one.decision, 300))}, {escape(minute(one.time))}"
        + (f", {escape(clean(one.why, 300))}" if one.why else "")
        + (f" <span style='color:{QUIET}'>({escape(clean(one.who, 100))})</span>" if one.who else "")
        + "</li>"
        for one in reversed(decisions[-MOST_SHOWN:])
    )
    return (
        f"<div class='ccp-decisions'><p style='{LINE}'><strong>{len(decisions)} decided so far</strong></p>"
        f"<ul style='{LINE}'>{items}</ul></div>"
    )
