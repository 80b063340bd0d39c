"""Quality curves and heat maps: what is drawn is what was given."""

import pandas as pd

from ccp_assess.quality.emodel import rate
from ccp_assess.report.figures import draw_heat_map, draw_quality
from ccp_assess.report.style import svg_text


def test_the_curves_are_the_models_and_calls_lie_at_their_numbers() -> None:
    calls = [
        {"call_id": "a", "site_id": "<b>", "in": {"delay_ms": 300.0, "mos_cqe": 3.5}},
        {"call_id": "b", "in": {"delay_ms": None, "mos_cqe": None}},
    ]
    _, axes = draw_quality(calls, losses_pct=(0.0, 5.0))
    curve = axes.lines[1]
    assert curve.get_ydata()[0] == rate(0.0, 5.0, codec="opus+g711").mos_cqe
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in points] == [(300.0, 3.5)]


def test_every_number_is_written_into_its_cell_and_unknown_is_a_dash() -> None:
    table = pd.DataFrame({"us-east-1": [12.3, None], "eu-west-2": [250.0, 7.25]}, index=["LIS", "$x$"])
    figure, axes = draw_heat_map(table, title="Round trip [ms]")
    assert sorted(text.get_text() for text in axes.texts) == ["-", "12", "250", "7.2"]
    assert "$x$" in svg_text(figure)
    assert svg_text(figure) == svg_text(draw_heat_map(table, title="Round trip [ms]")[0])


def test_nothing_and_one_number_are_drawn_too() -> None:
    for table in ({}, {"a": {"b": 3.0}}, {"a": {"b": None}}):
        assert "<svg" in svg_text(draw_heat_map(table)[0])
