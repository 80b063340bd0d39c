"""Amazon Connect's interfaces against a local mock server, and against the SDK's own stubs where that has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from moto.server import ThreadedMotoServer

from ccp_assess.errors import ModelInputError
from ccp_assess.online import connect
from ccp_assess.online.connect import ConnectApiError, describe_instance, fetch_contacts, list_instances
from ccp_assess.witnesses.reading import read_witness

ID = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a"
INSTANCE = "11111111-2222-4333-8444-555555555555"
START = datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    mock = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    mock.start()
    host, port = mock.get_host_and_port()
    yield f"http://{host}:{port}"
    mock.stop()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")


@pytest.fixture
def stubbed(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = connect._client("eu-west-2", None)
    with Stubber(client) as stub:
        monkeypatch.setattr(connect, "_client", lambda *_: client)
        yield stub


@pytest.mark.usefixtures("credentials")
def test_instances_are_listed_with_alias_region_and_identifier(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    made = {}
    for region, alias in (("eu-west-2", "desk-london"), ("us-east-1", "desk-virginia")):
        client = boto3.client("connect", region_name=region)
        made[alias] = client.create_instance(
            IdentityManagementType="SAML", InstanceAlias=alias, InboundCallsEnabled=True, OutboundCallsEnabled=False
        )["Id"]
    found = list_instances(["us-east-1", "eu-west-2"])
    assert [(one.region_code, one.alias, one.instance_id) for one in found] == [
        ("eu-west-2", "desk-london", made["desk-london"]),
        ("us-east-1", "desk-virginia", made["desk-virginia"]),
    ]
    assert [one.alias for one in list_instances()] == ["desk-london"]  # the Region of the AWS chain
    one = describe_instance(found[1].arn)  # an ARN says where it is
    assert (one.alias, one.region_code, one.identity, one.outbound_calls) == (
        "desk-virginia",
        "us-east-1",
        "SAML",
        False,
    )
    with pytest.raises(ConnectApiError, match="no such instance"):
        describe_instance(INSTANCE)


def contact(**more: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "Arn": f"arn:aws:connect:eu-west-2:111122223333:instance/{INSTANCE}/contact/{ID}",
        "Channel": "VOICE",
        "InitiationMethod": "INBOUND",
        "InitiationTimestamp": START,
        "DisconnectTimestamp": START + timedelta(seconds=90),
        "AgentInfo": {"Id": "agent-1", "ConnectedToAgentTimestamp": START + timedelta(seconds=12)},
        "CustomerEndpoint": {"Type": "TELEPHONE_NUMBER", "Address": "+442079460000"},
        "CustomerId": "secret-customer",
        "QualityMetrics": {"Agent": {"Audio": {"QualityScore": 3.5, "PotentialQualityIssues": ["HighPacketLoss"]}}},
        **more,
    }


def expect_contacts(stub: Stubber, found: list[dict[str, Any]]) -> None:
    stub.add_response(
        "search_contacts",
        {"Contacts": [{"Id": one["Id"], "Channel": "VOICE"} for one in found]},
        {
            "InstanceId": INSTANCE,
            "TimeRange": {"Type": "INITIATION_TIMESTAMP", "StartTime": START, "EndTime": START + timedelta(days=1)},
            "SearchCriteria": {"Channels": ["VOICE"]},
            "Sort": {"FieldName": "INITIATION_TIMESTAMP", "Order": "DESCENDING"},
            "MaxResults": 100,
        },
    )
    for one in found:
        stub.add_response("describe_contact", {"Contact": one}, {"InstanceId": INSTANCE, "ContactId": one["Id"]})


def test_contacts_come_with_their_quality_and_without_customers(stubbed: Stubber, tmp_path: Path) -> None:
    expect_contacts(stubbed, [contact()])
    found = fetch_contacts(INSTANCE, start=START, end=START + timedelta(days=1))
    stubbed.assert_no_pending_responses()
    text = json.dumps({"Contacts": found})
    assert "+4420" not in text
    assert "secret-customer" not in text
    (tmp_path / "contacts.json").write_text(text)
    witness = read_witness(tmp_path / "contacts.json").to_document()
    assert witness["kind"] == "contact_record"
    call = witness["calls"][0]
    assert (call["contact_id"], call["start_time"], call["end_time"]) == (
        ID,
        "2026-11-20T08:00:00Z",
        "2026-11-20T08:01:30Z",
    )
    assert call["quality"]["agent"] == {"score": 3.5, "issues": ["HighPacketLoss"]}
    assert call["region_code"] == "eu-west-2"


def test_a_missing_right_names_the_policy(stubbed: Stubber) -> None:
    stubbed.add_client_error("search_contacts", "AccessDeniedException", http_status_code=403)
    with pytest.raises(ConnectApiError, match="has the exact policy"):
        fetch_contacts(INSTANCE, start=START, end=START + timedelta(hours=1))


def test_a_search_longer_than_the_service_takes_is_not_sent(stubbed: Stubber) -> None:
    for end in (START, START + timedelta(weeks=9)):
        with pytest.raises(ModelInputError, match="8 weeks"):
            fetch_contacts(INSTANCE, start=START, end=end)


@pytest.mark.usefixtures("credentials")
def test_without_credentials_or_region_one_sentence_says_so(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ConnectApiError, match="credentials"):
        list_instances()
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConnectApiError, match="give --region"):
        list_instances()
