"""Distances are geopy's, one by one and many at once; land and sea tell swapped coordinates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess import geo
from ccp_assess.regions import read_regions

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_many_distances_equal_single_ones(lat1, lon1, lat2, lon2):
    one = geo.great_circle_km(lat1, lon1, lat2, lon2)
    many = float(geo.great_circles_km(lat1, lon1, lat2, lon2))
    assert many == pytest.approx(one, rel=1e-6, abs=1e-6)


def test_known_distances():
    assert geo.great_circle_km(0, 0, 0, 180) == pytest.approx(np.pi * geo.EARTH_RADIUS_KM)
    assert geo.great_circle_km(90, 0, -90, 77) == pytest.approx(np.pi * geo.EARTH_RADIUS_KM)
    assert geo.great_circle_km(0, 179.5, 0, -179.5) == pytest.approx(111.2, abs=0.1)
    assert geo.great_circle_km(38.72, -9.14, 38.72, -9.14) == 0.0


def test_shapes_follow_broadcasting():
    grid = geo.great_circles_km(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((1, 2)), np.array([[1.0, 2.0]]))
    assert grid.shape == (3, 2)
    assert grid[0, 1] == pytest.approx(2 * grid[0, 0])


def test_all_regions_are_on_land():
    for region in read_regions().values():
        assert geo.is_on_land(region.latitude, region.longitude), region.region_code


@pytest.mark.parametrize(
    ("latitude", "longitude", "on_land"),
    [
        (1.29, 103.85, True),  # Singapore
        (26.22, 50.59, True),  # Manama
        (-20.16, 57.50, True),  # Mauritius
        (35.90, 14.51, True),  # Malta
        (64.15, -21.94, True),  # Reykjavik
        (-18.12, 178.45, True),  # Suva, by the antimeridian
        (35.0, -40.0, False),
        (0.0, 0.0, False),
        (-30.0, 80.0, False),
        (42.0, 50.7, False),  # the Caspian Sea
        (90.0, 0.0, False),
        (-90.0, 0.0, True),  # Antarctica
    ],
)
def test_land_and_sea(latitude, longitude, on_land):
    assert geo.is_on_land(latitude, longitude) is on_land
    assert bool(geo.are_on_land([latitude], [longitude + 360])[0]) is on_land


def test_the_gazetteer_is_on_land():
    points = np.array(list(geo.places._gazetteer().coordinates()))
    assert geo.are_on_land(points[:, 0], points[:, 1]).all()


@pytest.mark.parametrize(
    ("latitude", "longitude", "words"),
    [
        (-0.12, 51.51, "is in the sea, while 51.51, -0.12 is on land; swap latitude and longitude"),
        (-77.49, 39.04, None),  # Antarctica is land: nothing is seen to be wrong
        (2.35, 48.86, "swap latitude and longitude"),  # Paris, swapped, lies off Somalia
        (139.69, 35.69, "latitude and longitude may be swapped"),
        (38.72, -9.14, None),
        (95.0, 200.0, "the latitude 95 is not between -90 and 90"),
        (10.0, 181.0, "the longitude 181 is not between -180 and 180"),
        (35.0, -40.0, None),  # a ship may be in the sea
    ],
)
def test_coordinates_that_look_wrong_are_named(latitude, longitude, words):
    problem = geo.coordinate_problem(latitude, longitude)
    if words is None:
        assert problem is None
    else:
        assert words in problem


@pytest.mark.parametrize(
    ("latitude", "longitude", "country", "words"),
    [
        (38.72, -9.14, "PT", None),
        (37.74, -25.67, "PT", None),  # the Azores
        (-9.14, 38.72, "PT", "swap latitude and longitude"),  # lies in Tanzania
        (33.87, 151.21, "AU", "check the signs"),
        (40.71, 74.01, "US", "check the signs"),
        (82.5, -62.3, "CA", None),  # Alert, far from any town
        (21.31, -157.86, "US", None),
        (-54.0, -36.0, "GS", None),
    ],
)
def test_a_point_far_from_its_country_is_named_where_a_swap_or_a_sign_explains_it(latitude, longitude, country, words):
    problem = geo.coordinate_problem(latitude, longitude, country)
    if words is None:
        assert problem is None
    else:
        assert words in problem


def test_the_outline_names_every_country_it_knows():
    outline = geo.world_outline()
    assert outline["type"] == "FeatureCollection"
    assert len(outline["features"]) > 170
    codes = {feature["properties"]["country"] for feature in outline["features"]}
    assert {"US", "DE", "IN", "BR", "ZA", "AU"} <= codes
    assert codes - {None} <= set(geo.read_countries()) | {"AQ", "TF"}  # no towns there
