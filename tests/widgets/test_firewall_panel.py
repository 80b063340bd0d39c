"""The firewall panel without a browser: switches, formats, audits."""

import base64
import json
import re
from pathlib import Path

import pytest

from ccp_assess.allowlist import audit, build, read_client_rules
from ccp_assess.allowlist.formats import FORMATS, render
from ccp_assess.errors import AllowlistError
from ccp_assess.widgets import FirewallPanel, show_firewall_panel

RULES = Path(__file__).resolve().parents[2] / "data" / "sample" / "rules" / "denver-firewall.csv"


@pytest.fixture
def panel() -> FirewallPanel:
    return show_firewall_panel("us-west-2")


def saved(panel: FirewallPanel) -> tuple[str, bytes]:
    found = re.search(r"download='([^']+)' href='data:[^;]+;base64,([^']*)'", panel.download.value)
    assert found
    return found[1], base64.b64decode(found[2])


def test_it_shows_the_rules_that_the_command_builds(panel: FirewallPanel) -> None:
    assert panel.allowlist == build(["us-west-2"])
    assert f"{len(panel.allowlist.rules)} rules" in panel.rules.value


def test_every_switch_reaches_the_rules(panel: FirewallPanel) -> None:
    panel.option.value = "hybrid"
    panel.stateless.value = "windows"
    panel.from_subnets.value = "10.1.0.0/16"
    panel.instance.value = "acme"
    panel.app_calling.value = True
    assert panel.allowlist == build(
        ["us-west-2"], "hybrid", stateless="windows", from_subnets=["10.1.0.0/16"], instance="acme", app_calling=True
    )


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_is_saved_as_the_command_writes_it(panel: FirewallPanel, name: str) -> None:
    panel.option.value = "domains" if FORMATS[name].names and FORMATS[name].udp_names else "hybrid"
    panel.format.value = name
    file, data = saved(panel)
    assert panel.allowlist is not None
    expected = render(panel.allowlist, name)
    assert file == f"allowlist-us-west-2-{name}{expected.suffix}"
    if isinstance(expected.content, str):
        assert data == expected.content.encode()
    else:
        assert data[:2] == expected.content[:2] == b"PK"


def test_what_a_format_cannot_say_is_said(panel: FirewallPanel) -> None:
    panel.option.value = "addresses"
    panel.format.value = "pac"
    assert "knows names only" in panel.left_out.value
    assert panel.download.value == ""
    panel.format.value = "json"
    assert json.loads(saved(panel)[1])["addresses_opened"]["v4"] > 0


@pytest.mark.parametrize("alias", ["a b", "<script>", "x" * 60])
def test_a_wrong_choice_is_a_sentence_and_the_rules_stay(panel: FirewallPanel, alias: str) -> None:
    before = panel.rules.value
    panel.instance.value = alias
    assert "no instance alias" in panel.problem.value
    assert "<script>" not in panel.problem.value
    assert panel.rules.value == before
    panel.instance.value = ""
    assert panel.problem.value == ""


def test_no_region_is_a_sentence(panel: FirewallPanel) -> None:
    panel.regions.value = ()
    assert "no Region given" in panel.problem.value


def test_the_clients_rules_are_audited_and_follow_the_switches(panel: FirewallPanel) -> None:
    panel.audit_file(RULES)
    expected = audit(read_client_rules(RULES), ["us-west-2"])
    assert panel.audited == expected
    assert f"{len(expected.missing)} missing" in panel.audit.value
    panel.regions.value = ("eu-west-2",)
    assert panel.audited == audit(read_client_rules(RULES), ["eu-west-2"])
    panel.forget.click()
    assert panel.audit.value == ""


def test_a_file_without_rules_is_refused(panel: FirewallPanel, tmp_path: Path) -> None:
    empty = tmp_path / "x.txt"
    empty.write_bytes(b"\x00\x01")
    with pytest.raises(AllowlistError):
        panel._on_file("x.txt", empty)


def test_choices_are_kept_in_the_client_folder_and_opened_again(tmp_path: Path) -> None:
    panel = FirewallPanel(["us-west-2"], folder=tmp_path)
    panel.option.value, panel.format.value, panel.media_less.value = "addresses", "cisco-asa", True
    panel.kept.keep.click()
    again = FirewallPanel(["eu-west-2"], folder=tmp_path)
    assert (again.option.value, again.format.value, again.media_less.value) == ("addresses", "cisco-asa", True)
    assert again.regions.value == ("us-west-2",)
    (tmp_path / "panels.json").write_text("[]", encoding="utf-8")
    assert "cannot be read" in FirewallPanel(["eu-west-2"], folder=tmp_path).kept.said.value
    (tmp_path / "panels.json").write_text('{"firewall": {"option": "nonsense", "regions": 3}}', encoding="utf-8")
    assert FirewallPanel(["eu-west-2"], folder=tmp_path).option.value == "domains"


def test_its_twin_holds_the_rules_and_no_script(panel: FirewallPanel) -> None:
    html = panel.static_html()
    assert "connect.aws" in html
    assert "<script" not in html
