"""The page: whole, equal to the documents, harmless with hostile names, and asking no server for anything."""

import itertools
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from report_examples import assessment, hostile, sites_only

from ccp_assess.report.document import render_report, write_report

_VOID = {"meta", "img", "br", "link", "input", "hr", "rect", "circle", "path", "use"}


class Page(HTMLParser):
    """Collects what the tests ask about; text of the page without its style sheet."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.stack = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in self.stack:
            while self.stack.pop() != tag:
                pass

    def handle_data(self, data):
        if "style" not in self.stack:
            self.text.append(data)

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\u202f", " ").split())


@pytest.fixture(scope="module")
def html():
    return render_report(assessment())


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_first_page_gives_the_answer_the_map_and_three_findings(page):
    for sentence in assessment().sentences:
        assert sentence in page.words
    first = page.words.index("What to do first")
    assert page.words.index(assessment().sentences[0]) < page.words.index("Map of sites, callers and Regions") < first
    assert len([a for a in page.all("li") if a.get("class") in {"critical", "warning", "info"}]) == 3


def test_every_section_is_there_and_in_the_contents(page):
    sections = [a["id"] for a in page.all("section")]
    for wanted in (
        "answer",
        "findings",
        "regions",
        "budget",
        "sites",
        "calls",
        "firewall",
        "workstation",
        "unknowns",
        "assumptions",
        "method",
        "repeat",
    ):
        assert wanted in sections
    targets = [a["href"] for a in page.all("a")]
    assert all(target.startswith("#") for target in targets)
    assert {target[1:] for target in targets} <= {a.get("id") for _, a in page.tags}


def test_nothing_is_fetched_from_anywhere(html, page):
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "poster", "action", "formaction", "background"):
            assert name not in attributes, f"<{tag} {name}>"
        if "href" in attributes:
            assert attributes["href"].startswith("#"), f"<{tag} href={attributes['href']}>"
    assert all(url.startswith("#") for url in re.findall(r"url\(\s*['\"]?([^)'\"]+)", html))
    assert "@import" not in html
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "form", "base", "img"}
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_the_numbers_of_the_options_are_those_of_the_document(page):
    for option in assessment().ranking["options"]:
        delay = option["mouth_to_ear_ms"]
        if delay["mean"] is not None:
            assert (
                f"{delay['mean']:.0f} ms {delay['band'][0]:.0f} to {delay['band'][1]:.0f} ms {delay['p95']:.0f} ms"
                in page.words
            )
            assert f"{option['mos_cqe']['mean']:.2f} / {option['mos_cqe']['p05']:.2f}" in page.words
    assert "GovCloud was not asked for" in page.words


def test_the_numbers_of_the_calls_are_those_of_the_document(page):
    assert "c0000002" in page.words
    assert "3.05 3.10 % 1.40 % 24.0 ms unknown 38.4 ms 39.9 ms" in page.words
    assert page.words.index("c0000002") < page.words.index("c0000001"), "the worst call stands first"


def test_what_is_unknown_is_called_so_and_not_zero(page):
    for sentence in assessment().unknowns:
        assert sentence in page.words
    assert "None" not in page.words
    assert "nan" not in page.words.lower().split()
    manila = page.words[page.words.index("Sites and their way") :]
    assert re.search(r"MNL .{0,40}vdi 120 eu-west-2 \d+\.\d ms unknown modelled", manila)


def test_every_leg_says_how_it_is_known_and_a_bench_says_so(page):
    assert "vantage bench" in page.words
    assert {a["class"] for a in page.all("span") if (a.get("class") or "").startswith("basis")} == {
        "basis measured", "basis modelled", "basis assumed",
    }  # fmt: skip


def test_the_rules_have_purpose_port_and_source_with_its_date(page):
    rules = page.words[page.words.index("Rules for eu-west-2") :]
    assert "media through the TURN relay TurnNlb-*.elb.eu-west-2.amazonaws.com 3478 UDP outbound [1]" in rules
    assert "From: 10.20.0.0/16" in rules
    assert "networking page for the CCP, read 22 Aug 2026" in rules


def test_the_open_facts_are_said_to_be_open(page):
    assert "Open until a run against Amazon's own relays" in page.words


def test_each_finding_has_an_owner_and_its_test(page):
    assert "Test again: From the site: ccp-assess probe --full --region eu-west-2" in page.words
    assert "due: to be agreed" in page.words


def test_the_page_keeps_the_basics_that_axe_asks_for(page):
    assert page.tags[0] == ("html", {"lang": "en"}) or ("html", {"lang": "en"}) in page.tags
    assert sum(tag == "title" for tag, _ in page.tags) >= 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids)), "ids are unique"
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert all(name in ids for name in svg["aria-labelledby"].split())
    for cell in page.all("th"):
        assert cell["scope"] in {"col", "row"}
    tags = [tag for tag, _ in page.tags]
    assert tags.count("caption") == tags.count("table")
    for attributes in page.all("div"):
        if attributes.get("role") in {"region", "group"}:
            assert attributes["aria-label"]
    assert {"main", "header", "footer", "nav"} <= set(tags)


def test_every_picture_is_named_and_holds_searchable_text(page):
    assert len(page.all("svg")) >= 7
    assert "Mouth-to-ear delay, one way" in page.words
    assert "Seconds since the call began" in page.words


def test_names_of_a_hostile_client_stay_names():
    html = render_report(hostile())
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "img" not in {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in page.words
    assert "49</h1>" not in html
    assert "\u202e" not in html
    assert "\x00" not in html
    assert "<script>alert(1)</script>" in page.words, "it is shown as text"


def test_a_client_with_sites_only_gets_a_page_that_says_what_is_missing():
    page = Page(render_report(sites_only()))
    for words in (
        "No measurement was given",
        "No call was captured: call quality is unknown",
        "No rule file was given",
        "No caller origins are given",
        "unknown (caller leg)",
        "No probe was run",
    ):
        assert words in page.words


def test_a_client_without_any_admissible_region_gets_a_page_too():
    nothing = {"regions": [], "runner_up": [], "reasons": [], "tipping_points": [], "caveats": []}
    empty = assessment(ranking={"options": [], "recommendation": nothing}, sentences=(), allowlist=None)
    page = Page(render_report(empty))
    assert "No Region can be recommended" in page.words
    assert "No Region is recommended, so no rules can be listed." in page.words


def test_the_executive_length_leaves_out_what_engineers_need():
    page = Page(render_report(assessment(), length="executive"))
    sections = {a["id"] for a in page.all("section")}
    assert {"answer", "findings", "regions", "budget", "unknowns", "assumptions", "method"} <= sections
    assert not sections & {"sites", "calls", "firewall", "repeat"}


def test_the_same_assessment_gives_the_same_bytes():
    assert render_report(assessment()) == render_report(assessment())


def test_without_a_browser_there_is_a_page_and_a_reason_but_no_pdf(tmp_path, monkeypatch):
    monkeypatch.setattr("ccp_assess.report.pdf.find_browser", lambda: None)
    written = write_report(assessment(), tmp_path)
    assert written["pdf"] is None
    assert "neither Chromium" in written["pdf_reason"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_browser_that_fails_leaves_a_sentence_and_no_half_file(tmp_path, monkeypatch):
    broken = tmp_path / "browser"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("ccp_assess.report.pdf.find_browser", lambda: str(broken))
    written = write_report(assessment(), tmp_path / "out")
    assert written["pdf"] is None
    assert "could not print" in written["pdf_reason"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_inputs_are_listed_with_their_checksums(tmp_path):
    (tmp_path / "sites.csv").write_text("site_id\nA\n")
    (tmp_path / ".hidden").write_text("no")
    client = SimpleNamespace(**{**vars(assessment().client), "folder": tmp_path})
    page = Page(render_report(assessment(client=client)))
    assert "sites.csv" in page.words
    assert "a4e8b1" in page.words or re.search(r"sites\.csv 10 [0-9a-f]{64}", page.words)
    assert ".hidden" not in page.words


def test_the_same_note_at_many_places_is_one_row():
    note = {"code": "UPLINK_NOT_VISIBLE", "severity": "info", "text": "Not seen here.", "evidence": {}}
    places = [{**note, "site_id": site, "file": f"captures/{site}.pcap", "call_id": site} for site in ("LIS", "MNL")]
    page = Page(render_report(assessment(findings=tuple(places))))
    assert "1 findings, gravest first" in page.words or "1 finding, gravest first" in page.words
    assert "LIS · captures/LIS.pcap; MNL · captures/MNL.pcap" in page.words


def test_the_first_page_names_three_different_things_to_do_and_failed_calls_first():
    def finding(code, text):
        return {
            "code": code,
            "severity": "critical",
            "text": text,
            "site_id": "LIS",
            "file": "captures/a.pcap",
            "evidence": {},
        }

    many = (
        finding("RELAY_RTT_HIGH", "slow (critical from 300 ms: somebody (sheet 2.2))."),
        finding("RELAY_UDP_NO_ANSWER", "no answer by UDP."),
        finding("CALL_FAILED_NO_ANSWER", "failed."),
        finding("LOSS_INBOUND", "lost."),
    )
    html = render_report(assessment(findings=many))
    first = Page(html[: html.index('<nav class="contents"')]).words
    assert first.index("failed.") < first.index("lost.") < first.index("slow.")
    assert "no answer by UDP" not in first
    assert "somebody" not in first


def test_the_budget_of_a_site_is_what_the_ranking_says():
    from ccp_assess.report.budgets import site_budgets
    from ccp_assess.selection.ranking import rank

    client = assessment().client
    ranked = rank(
        sites=client.sites, callers=client.callers, transfers=client.transfers, reroutes=(), measurements=(), draws=50
    )
    document = ranked.to_document()
    rows = {row["site_id"]: row for row in document["options"][0]["by_site"]}
    budgets = site_budgets(client, document, document["options"][0]["regions"])
    assert {budget.site_id for budget in budgets} == set(rows)
    for budget in budgets:
        assert budget.total_ms == pytest.approx(rows[budget.site_id]["mouth_to_ear_ms"], abs=0.01)


def test_without_callers_the_budget_shows_what_the_ranking_assumed():
    from ccp_assess.report.budgets import site_budgets
    from ccp_assess.selection.ranking import rank

    client = sites_only().client
    document = rank(sites=client.sites, draws=50).to_document()
    rows = {row["site_id"]: row for row in document["options"][0]["by_site"]}
    for budget in site_budgets(client, document, document["options"][0]["regions"]):
        assert budget.parts[0].basis == "assumed"
        assert budget.parts[0].one_way_ms > 0
        assert budget.total_ms == pytest.approx(rows[budget.site_id]["mouth_to_ear_ms"], abs=0.01)


def test_legs_measured_on_a_bench_are_not_passed_off_as_the_sites_own(page):
    assert "Agent legs measured 2 of 4 sites" in page.words
    bench_only = Page(render_report(assessment(captures=())))
    assert "Agent legs measured 2 of 4 sites, 1 on a bench" in bench_only.words
