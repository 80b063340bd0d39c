"""Pictures: not blank, the same bytes for the same result, no global state, labels inside and apart."""

import itertools
import re
import xml.etree.ElementTree as ET
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread
from report_examples import assessment, capture_document, hostile, probe_document, sites_only

from ccp_assess.report import figures
from ccp_assess.report.figures.placing import Wanted, overlap, place_labels
from ccp_assess.report.style import PART_COLOURS, inline_svg, picture, png_bytes, svg_text

SIZES = {"Option 1: names": 0, "Hybrid": 8192, "Option 2: address blocks": 6_400_000}
LEGS = {"eu-west-2": (40.0, 90.0, True), "eu-central-1": (44.0, 88.0, True), "us-east-1": (90.0, 95.0, False)}
PARETO = {
    "recommendation": {"regions": ["eu-west-2"]},
    "pareto": [
        {"regions": [region], "agent_leg_ms": agent, "caller_leg_ms": caller, "efficient": efficient}
        for region, (agent, caller, efficient) in LEGS.items()
    ],
}
DRAWN = {
    "map": lambda ax=None: figures.draw_map(assessment(), ax),
    "map of a hostile client": lambda ax=None: figures.draw_map(hostile(), ax),
    "map of sites only": lambda ax=None: figures.draw_map(sites_only(), ax),
    "budget": lambda ax=None: figures.draw_latency_budget(assessment(), ax),
    "budget with unknown legs": lambda ax=None: figures.draw_latency_budget(sites_only(), ax),
    "comparison": lambda ax=None: figures.draw_region_comparison(assessment(), ax),
    "probability": lambda ax=None: figures.draw_probability(assessment().ranking, ax),
    "pareto": lambda ax=None: figures.draw_pareto(PARETO, ax),
    "call": lambda ax=None: figures.draw_call_timeline(capture_document(), ax, call_id="c0000002"),
    "call without series": lambda ax=None: figures.draw_call_timeline({"calls": capture_document()["calls"]}, ax),
    "path": lambda ax=None: figures.draw_path(probe_document(), ax),
    "ports": lambda ax=None: figures.draw_ports(assessment(), ax),
    "access": lambda ax=None: figures.draw_access(assessment(), ax),
    "sizes": lambda ax=None: figures.draw_allowlist_size(SIZES, ax),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_not_blank(name):
    figure, _ = DRAWN[name]()
    pixels = imread(BytesIO(png_bytes(figure, dpi=60)))[..., :3]
    assert np.mean(np.any(pixels < 0.95, axis=2)) > 0.01


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_has_the_same_bytes_each_time_and_is_well_formed(name):
    first, second = svg_text(DRAWN[name]()[0]), svg_text(DRAWN[name]()[0])
    assert first == second
    ET.fromstring(first)  # noqa: S314 - our own text
    assert "<text" in first, "text stays text"


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_drawn_on_given_axes(name):
    figure = picture(7, 4)
    ax = figure.add_subplot()
    drawn, given = DRAWN[name](ax)
    assert drawn is figure
    assert given is ax


def test_drawing_leaves_the_settings_of_others_alone():
    before = dict(mpl.rcParams)
    svg_text(DRAWN["budget"]()[0])
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", DRAWN)
def test_no_label_is_clipped(name):
    figure, _ = DRAWN[name]()
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 > -0.02
    assert drawn.y0 > -0.02
    assert drawn.x1 < width + 0.02
    assert drawn.y1 < height + 0.02


def test_the_names_on_a_map_do_not_cover_each_other():
    figure, ax = figures.draw_map(assessment())
    figure.draw_without_rendering()
    for axes in (ax, *ax.child_axes):
        boxes = [text.get_window_extent() for text in axes.texts]
        for index, one in enumerate(boxes):
            for other in boxes[index + 1 :]:
                assert not overlap((one.x0, one.y0, one.x1, one.y1), (other.x0, other.y0, other.x1, other.y1))


def test_every_site_of_the_example_is_named_on_its_map():
    _, ax = figures.draw_map(assessment())
    written = {text.get_text() for axes in (ax, *ax.child_axes) for text in axes.texts}
    assert {"Lisbon headquarters", "Home agents, UK", "Manila partner", "Porto", "eu-west-2"} <= written


def test_a_client_on_both_sides_of_the_date_line_gets_a_narrow_map():
    import dataclasses

    tokyo, auckland, seattle = (
        dataclasses.replace(
            assessment().client.sites[0], site_id=name, name=name, latitude=latitude, longitude=longitude
        )
        for name, latitude, longitude in (("Tokyo", 35.7, 139.7), ("Auckland", -36.8, 174.8), ("Seattle", 47.6, -122.3))
    )
    example = assessment(sites=(tokyo, auckland, seattle), callers=(), transfers=())
    example.ranking["recommendation"] = {"regions": ["ap-northeast-1"], "runner_up": ["us-west-2"]}
    _, ax = figures.draw_map(example)
    left, right = ax.get_xlim()
    assert right - left < 300
    assert left < 139.7
    assert right > 237.7


def test_neighbours_in_a_bar_differ_in_lightness_on_a_grey_print():
    def grey(colour):
        red, green, blue = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    order = ["caller", "handling", "agent", "handling"]
    for one, other in itertools.pairwise(order):
        assert abs(grey(PART_COLOURS[one]) - grey(PART_COLOURS[other])) > 0.08


def test_measured_modelled_and_assumed_look_different_without_colour():
    from matplotlib.patches import Rectangle

    _, ax = figures.draw_latency_budget(assessment())
    looks = {
        (bar.get_hatch(), bar.get_linestyle())
        for bar in ax.findobj(Rectangle)
        if bar.get_height() == pytest.approx(0.56)
    }
    assert len({hatch for hatch, _ in looks}) == 3
    assert len({line for _, line in looks}) == 3


def test_a_silent_hop_is_shown_as_silent_and_has_no_round_trip():
    _, ax = figures.draw_path(probe_document())
    assert any("silent" in tick.get_text() for tick in ax.get_xticklabels())
    line = ax.lines[0]
    assert 4 not in line.get_xdata()


def test_an_unknown_count_of_addresses_is_said():
    _, ax = figures.draw_allowlist_size({"Option 2": None})
    assert "unknown" in " ".join(text.get_text() for text in ax.texts)


def test_ids_of_two_pictures_on_a_page_do_not_meet():
    figure = figures.draw_latency_budget(assessment())[0]
    one = inline_svg(figure, key="one", title="<b>", description='"&')
    two = inline_svg(figure, key="two", title="t", description="d")
    ids_one, ids_two = set(re.findall(r' id="([^"]+)"', one)), set(re.findall(r' id="([^"]+)"', two))
    assert not ids_one & ids_two
    for text, ids in ((one, ids_one), (two, ids_two)):
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text)) <= ids
        assert "<b>" not in text
        assert "xmlns" not in text


def test_labels_that_find_no_place_are_left_out_rather_than_piled_up():
    crowd = [Wanted(x=50, y=50, width=60, height=30, radius=2)] * 12
    boxes = [box for box in place_labels(crowd, (0, 0, 100, 100), []) if box]
    assert 1 <= len(boxes) < 12
    for index, one in enumerate(boxes):
        assert not any(overlap(one, other) for other in boxes[index + 1 :])


def test_the_options_that_none_beats_are_joined_and_the_recommended_one_is_a_star():
    _, ax = figures.draw_pareto(PARETO)
    front, *marks = ax.get_lines()
    assert list(zip(*front.get_data(), strict=True)) == [(40.0, 90.0), (44.0, 88.0)]
    assert [mark.get_marker() for mark in marks] == ["*", "o", "o"]
    assert {text.get_text() for text in ax.texts} == set(LEGS)
