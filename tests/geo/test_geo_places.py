"""Places and countries are found by the names people write, or asked back with names that are understood."""

import importlib.util
import lzma
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess import geo
from ccp_assess.errors import PlaceError, ReferenceFactError
from ccp_assess.geo import names


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Lisbon, PT", "Lisbon, PT"),
        ("lisbon, Portugal", "Lisbon, PT"),
        ("Lisboa", "Lisbon, PT"),
        ("Lisbon PT", "Lisbon, PT"),
        ("München", "Munich, DE"),
        ("Muenchen, DE", "Munich, DE"),
        ("munich, Deutschland", "Munich, DE"),
        ("Cologne", "Köln, DE"),
        ("koln", "Köln, DE"),
        ("Bombay", "Mumbai, IN"),
        ("Bangalore, IND", "Bengaluru, IN"),
        ("SAO PAULO, br", "São Paulo, BR"),
        ("Zürich, Switzerland", "Zürich, CH"),
        ("Goeppingen", "Göppingen, DE"),
        ("St. Louis, MO", "St. Louis, MO, US"),
        ("Saint Louis, Missouri, USA", "St. Louis, MO, US"),
        ("New York", "New York City, NY, US"),
        ("Washington, D.C.", "Washington, DC, US"),
        ("San Jose, CA", "San Jose, CA, US"),
        ("London, Ontario", "London, ON, CA"),
        ("Atlanta, Georgia", "Atlanta, GA, US"),
        ("Tbilisi, Georgia", "Tbilisi, GE"),
        ("Manchester, UK", "Manchester, ENG, GB"),
        ("Perth, WA, AU", "Perth, WA, AU"),
    ],
)
def test_people_may_write_a_place_in_many_ways(text, label):
    assert geo.find_place(text).label == label


@pytest.mark.parametrize("text", ["London", "Paris", "Sydney", "Dublin", "Frankfurt"])
def test_a_city_ten_times_larger_than_its_namesakes_needs_no_country(text):
    assert geo.find_place(text).population > 500_000


@pytest.mark.parametrize("text", ["Springfield", "Birmingham", "Valencia", "Hyderabad", "Georgetown", "Portland, US"])
def test_an_ambiguous_name_asks_back_with_names_that_are_understood(text):
    with pytest.raises(PlaceError, match="can mean several places") as caught:
        geo.find_place(text)
    assert len(caught.value.candidates) >= 2
    for candidate in caught.value.candidates:
        assert geo.find_place(candidate).label == candidate


def test_twins_in_one_country_ask_for_coordinates():
    with pytest.raises(PlaceError, match="give latitude and longitude instead"):
        geo.find_place("Bom Jardim, BR")


def test_a_city_that_is_not_in_the_country_named_offers_where_it_is():
    with pytest.raises(PlaceError, match="known are Lisbon, PT") as caught:
        geo.find_place("Lisbon, DE")
    assert "Lisbon, PT" in caught.value.candidates


@pytest.mark.parametrize("text", ["Lisbn", "Franfurt", "Amsterdm"])
def test_a_misspelt_name_offers_similar_ones(text):
    with pytest.raises(PlaceError, match="did you mean") as caught:
        geo.find_place(text)
    assert caught.value.candidates


@pytest.mark.parametrize("text", ["", "   ", ",", ", PT", "Xqzzy Wkvj", "e" * 5_000])
def test_what_is_no_place_is_refused_in_one_sentence(text):
    with pytest.raises(PlaceError) as caught:
        geo.find_place(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_a_place_error(text):
    try:
        place = geo.find_place(text)
    except PlaceError:
        return
    assert -90 <= place.latitude <= 90


def test_most_large_cities_are_found_by_their_own_label():
    gazetteer = geo.places._gazetteer()
    large = [p for p in map(gazetteer.place, range(0, gazetteer.size, 7)) if p.population >= 100_000]
    assert len(large) > 500
    wrong = []
    for place in large:
        try:
            found = geo.find_place(place.label)
        except PlaceError:
            found = None
        if found is None or geo.great_circle_km(place.latitude, place.longitude, found.latitude, found.longitude) > 60:
            wrong.append(place.label)
    assert len(wrong) <= 0.03 * len(large), wrong


def test_places_are_where_they_are():
    lisbon = geo.find_place("Lisbon, PT")
    assert geo.great_circle_km(lisbon.latitude, lisbon.longitude, 38.72, -9.14) < 5
    place, apart_km = geo.nearest_place(38.7, -9.15)
    assert place.country == "PT"
    assert apart_km < 10


def test_countries_are_found_by_code_and_name():
    assert geo.find_country("PT").name == "Portugal"
    assert geo.find_country("pt").dial_prefixes == ("351",)
    assert geo.find_country("DEU").code == "DE"
    assert geo.find_country("UK").code == "GB"
    assert geo.find_country("korea").code == "KR"
    with pytest.raises(ReferenceFactError, match=r"similar are .*DE \(Germany\)"):
        geo.find_country("Germny")


@pytest.mark.parametrize(
    ("number", "codes"),
    [
        ("+351 21 123 4567", ["PT"]),
        ("0049 89 123", ["DE"]),
        ("+1 809 555 0100", ["DO"]),
        ("+1 212 555 0100", ["US", "CA"]),
        ("+44", ["GB"]),
        ("+999", []),
        ("", []),
    ],
)
def test_numbers_tell_their_countries(number, codes):
    assert [country.code for country in geo.countries_of_number(number)][: len(codes) or None] == codes


def test_a_dial_prefix_is_a_country_where_it_is_clear():
    assert geo.find_country("+351").code == "PT"
    assert geo.find_country("+44").code == "GB"
    with pytest.raises(ReferenceFactError, match="write one of US, CA"):
        geo.find_country("+1")
    with pytest.raises(ReferenceFactError, match="no country has the dial prefix"):
        geo.find_country("+999")


def test_every_country_has_its_middle_on_land_and_a_known_continent():
    countries = geo.read_countries()
    assert len(countries) > 240
    for country in countries.values():
        assert geo.is_on_land(country.latitude, country.longitude), country
        assert country.continent in {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
    assert {c for c in countries if not countries[c].dial_prefixes} <= {"TF", "GS", "HM", "BV", "AQ", "UM"}


def test_the_middle_of_a_country_is_where_its_people_are():
    canada = geo.find_country("CA")
    assert canada.latitude < 55  # not the middle of its area, at 62 degrees north


def test_the_gazetteer_is_small_and_sorted():
    packed = resources.files("ccp_assess.reference").joinpath("places.tsv.xz").read_bytes()
    assert len(packed) <= 700_000
    header, *lines = lzma.decompress(packed).decode("utf-8").splitlines()
    assert header.split("\t")[0] == "country"
    keys = [tuple(line.split("\t")[:2]) for line in lines]
    assert keys == sorted(keys)
    assert len(lines) > 30_000


def test_the_tool_folds_names_as_the_package_does():
    path = Path(__file__).resolve().parents[2] / "tools" / "refresh_places.py"
    spec = importlib.util.spec_from_file_location("refresh_places", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name in ("São Paulo", "Łódź", "Sankt Pölten", "N'Djamena", "Århus", "İstanbul", "Đà Nẵng", "Saint-Denis"):
        assert tool.fold(name) == names.folded_name(name)
