"""Which services a Region offers: documented, with a source, or unknown."""

import pytest

from ccp_assess import services
from ccp_assess.errors import ReferenceFactError
from ccp_assess.regions import read_regions


def test_every_fact_names_a_known_region_its_source_and_its_date():
    facts = services.read_services()
    assert len(facts) > 150
    for fact in facts.values():
        assert fact.region_code in read_regions()
        assert fact.source
        assert fact.retrieved >= "2026-01-01"


def test_every_general_region_offers_voice_and_chat():
    for region in read_regions().values():
        if region.status in {"general", "gov"}:
            assert services.offers("voice", region.region_code) is True
            assert services.offers("chat", region.region_code) is True


def test_global_resiliency_is_offered_where_regions_have_a_partner():
    for region in read_regions().values():
        documented = services.offers("global_resiliency", region.region_code)
        if documented is not None:
            assert documented == (region.replica_region is not None), region.region_code


def test_documented_gaps_are_gaps_and_silence_is_unknown():
    assert services.offers("Contact Lens real-time", "af-south-1") is False
    assert services.offers("cases", "us-gov-west-1") is False
    assert services.offers("cases", "ap-south-1") is None
    assert services.offers("forecasting", "ca-central-1") is None  # an old list does not prove absence


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Customer Profiles", "customer_profiles"),
        ("customer-profiles", "customer_profiles"),
        ("Amazon Connect Cases", "cases"),
        ("Amazon Q in Connect", "ai_agents"),
        ("SMS", "sms"),
    ],
)
def test_people_may_write_a_service_in_many_ways(text, name):
    assert services.service_name(text) == name


def test_an_unknown_service_lists_the_known_ones():
    with pytest.raises(ReferenceFactError, match=r"'fax' is unknown; known services are voice, chat"):
        services.offers("fax", "us-east-1")


def test_services_of_a_region_hold_what_is_and_what_is_not_offered():
    facts = services.services_of("af-south-1")
    assert facts["voice"].offered
    assert not facts["apple_messages"].offered
    assert services.services_of("xx-nowhere-9") == {}
