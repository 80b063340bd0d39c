"""Amazon Connect's own interfaces, read only and only when asked: instances, and contact records with their quality.

Credentials are those of the usual AWS chain (environment, profile, single sign-on, role); none is asked for or kept.
Four operations are called, all reading: ``ListInstances``, ``DescribeInstance``, ``SearchContacts`` and
``DescribeContact``. Of a contact only what an assessment needs is taken: no customer, no phone number, no attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ccp_assess.errors import CcpAssessError, ModelInputError

LONGEST_SEARCH = timedelta(weeks=8)
"""``SearchContacts`` takes no longer range."""

MOST_CONTACTS = 10_000
"""Contacts fetched at once, unless told otherwise (count)."""

_KEPT = (
    "Arn", "Id", "InitialContactId", "PreviousContactId", "InitiationMethod", "Channel", "InitiationTimestamp",
    "DisconnectTimestamp", "ConnectedToSystemTimestamp", "DisconnectReason", "QualityMetrics",
)  # fmt: skip
"""Of a contact: when, how, and how good; who called whom stays where it is."""

_KEPT_OF_AGENT = ("Id", "ConnectedToAgentTimestamp", "AfterContactWorkDuration", "DeviceInfo")
_EXTRA = "the extra `aws` is not installed; run `pip install 'ccp-assess[aws]'`"


class ConnectApiError(CcpAssessError, OSError):
    """The service did not answer as asked; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance of Amazon Connect.

    Parameters
    ----------
    instance_id, arn
        Of the instance.
    alias
        The name in its address; ``None`` if it has none.
    region_code
        Where it is.
    status
        As the service says, such as ``ACTIVE``.
    identity
        ``SAML``, ``CONNECT_MANAGED`` or ``EXISTING_DIRECTORY``.
    access_url
        Where agents sign in.
    inbound_calls, outbound_calls
        Whether it takes and makes calls.
    """

    instance_id: str
    arn: str
    alias: str | None
    region_code: str
    status: str | None
    identity: str | None
    access_url: str | None
    inbound_calls: bool | None
    outbound_calls: bool | None

    def to_document(self) -> dict[str, Any]:
        """Return the instance for JSON.

        Returns
        -------
        document
            Unknown is ``None``.
        """
        return {name: getattr(self, name) for name in self.__slots__}


def list_instances(region_codes: Sequence[str] = (), *, profile: str | None = None) -> tuple[Instance, ...]:
    """List the instances that the credentials can see.

    Parameters
    ----------
    region_codes
        Where to look; the Region of the AWS chain if empty.
    profile
        A profile of the AWS configuration, other than the default.

    Returns
    -------
    instances
        By Region, then alias.

    Raises
    ------
    ConnectApiError
        If there are no credentials, no right, or no answer.
    """
    found = []
    for region_code in region_codes or (None,):
        client = _client(region_code, profile)
        with _told(client):
            pages = client.get_paginator("list_instances").paginate(PaginationConfig={"PageSize": 10})
            found += [_instance(row, client.meta.region_name) for page in pages for row in page["InstanceSummaryList"]]
    return tuple(sorted(found, key=lambda one: (one.region_code, one.alias or "")))


def describe_instance(instance_id: str, region_code: str | None = None, *, profile: str | None = None) -> Instance:
    """Describe one instance.

    Parameters
    ----------
    instance_id
        Its identifier or ARN.
    region_code
        Where it is; the ARN's Region, or that of the AWS chain, if not given.
    profile
        A profile of the AWS configuration, other than the default.

    Returns
    -------
    instance
        As the service describes it.

    Raises
    ------
    ConnectApiError
        If there are no credentials, no right, no such instance or no answer.
    """
    plain, region_code = _split(instance_id, region_code)
    client = _client(region_code, profile)
    with _told(client):
        return _instance(client.describe_instance(InstanceId=plain)["Instance"], client.meta.region_name)


def fetch_contacts(
    instance_id: str,
    region_code: str | None = None,
    *,
    start: datetime,
    end: datetime,
    most: int = MOST_CONTACTS,
    profile: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Fetch the voice contacts of a time with the quality of their audio.

    Parameters
    ----------
    instance_id
        Identifier or ARN of the instance.
    region_code
        Where it is; the ARN's Region, or that of the AWS chain, if not given.
    start, end
        Of the initiation; at most eight weeks apart.
    most
        Contacts fetched; the newest ones if there are more (count).
    profile
        A profile of the AWS configuration, other than the default.
    progress
        Called while contacts are fetched.

    Returns
    -------
    contacts
        As ``DescribeContact`` answers, without customers and attributes; ``witness read`` reads them from a file.

    Raises
    ------
    ModelInputError
        If the time is empty, or longer than the service takes.
    ConnectApiError
        If there are no credentials, no right, no such instance or no answer.
    """
    if not timedelta(0) < end - start <= LONGEST_SEARCH:
        raise ModelInputError("the search must begin before it ends, and the service takes no longer one than 8 weeks")
    plain, region_code = _split(instance_id, region_code)
    client = _client(region_code, profile)
    with _told(client):
        found = list(_search(client, plain, start, end, most))
        contacts = []
        for number, row in enumerate(found):
            if progress:
                progress("fetching contacts", number, len(found))
            contact = client.describe_contact(InstanceId=plain, ContactId=row["Id"])["Contact"]
            contacts.append(_kept(contact))
    if progress:
        progress("contacts fetched", len(found), len(found))
    return contacts


def _search(client: Any, instance_id: str, start: datetime, end: datetime, most: int) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator("search_contacts").paginate(
        InstanceId=instance_id,
        TimeRange={"Type": "INITIATION_TIMESTAMP", "StartTime": start, "EndTime": end},
        SearchCriteria={"Channels": ["VOICE"]},
        Sort={"FieldName": "INITIATION_TIMESTAMP", "Order": "DESCENDING"},
        PaginationConfig={"MaxItems": most, "PageSize": 100},
    )
    for page in pages:
        yield from page["Contacts"]


def _kept(contact: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _plain(contact[name]) for name in _KEPT if name in contact}
    agent = contact.get("AgentInfo")
    if isinstance(agent, dict):
        kept["AgentInfo"] = {name: _plain(agent[name]) for name in _KEPT_OF_AGENT if name in agent}
    queue = contact.get("QueueInfo")
    if isinstance(queue, dict):
        kept["QueueInfo"] = {"Id": queue.get("Id")}
    return kept


def _plain(value: Any) -> Any:
    """Make a value fit for JSON: instants in RFC 3339."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _instance(row: dict[str, Any], region_code: str) -> Instance:
    parts = str(row.get("Arn", "")).split(":")
    return Instance(
        instance_id=row["Id"],
        arn=row["Arn"],
        alias=row.get("InstanceAlias"),
        region_code=parts[3] if len(parts) > 3 and parts[3] else region_code,
        status=row.get("InstanceStatus"),
        identity=row.get("IdentityManagementType"),
        access_url=row.get("InstanceAccessUrl"),
        inbound_calls=row.get("InboundCallsEnabled"),
        outbound_calls=row.get("OutboundCallsEnabled"),
    )


def _split(instance_id: str, region_code: str | None) -> tuple[str, str | None]:
    """Take identifier and Region out of an ARN."""
    if not instance_id.startswith("arn:"):
        return instance_id, region_code
    parts = instance_id.split(":")
    return instance_id.rpartition("/")[2], region_code or (parts[3] if len(parts) > 3 and parts[3] else None)


def _client(region_code: str | None, profile: str | None) -> Any:
    try:
        import boto3  # type: ignore[import-untyped] # noqa: PLC0415 - an extra, and slow to load
        from botocore.config import Config  # type: ignore[import-untyped] # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError as error:
        raise ConnectApiError(f"Amazon Connect cannot be asked: {_EXTRA}") from error
    # the service takes few requests a second: adaptive retries wait as long as it says
    config = Config(retries={"mode": "adaptive", "max_attempts": 8}, connect_timeout=10, read_timeout=30)
    try:
        session = boto3.session.Session(profile_name=profile, region_name=region_code)
        if session.region_name is None:
            raise ConnectApiError("no Region is set; give --region, or set AWS_REGION")
        return session.client("connect", config=config)
    except BotoCoreError as error:
        raise ConnectApiError(f"Amazon Connect cannot be asked: {error}") from error


@contextmanager
def _told(client: Any) -> Iterator[None]:
    """Turn what the SDK raises into one sentence with what to do."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - loaded with the client already

    region_code = client.meta.region_name
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        what = f"{error.operation_name} in {region_code} was refused ({code})"
        raise ConnectApiError(f"{what}: {_ADVICE.get(code, str(error))}") from error
    except BotoCoreError as error:
        raise ConnectApiError(f"Amazon Connect in {region_code} cannot be asked: {error}") from error


_MORE_RIGHTS = "the credentials lack the right; docs/connect-api.md has the exact policy"
_ADVICE = {
    "AccessDeniedException": _MORE_RIGHTS,
    "UnauthorizedException": _MORE_RIGHTS,
    "ResourceNotFoundException": "there is no such instance or contact; `ccp-assess connect instances` lists them",
    "InvalidRequestException": "the identifier is none of an instance; `ccp-assess connect instances` lists them",
    "ThrottlingException": "too many requests for the service; ask for a shorter time, or later",
    "ExpiredTokenException": "the credentials have expired; sign in again",
    "UnrecognizedClientException": "the credentials are not valid; sign in again",
    "InvalidSignatureException": "the signature is not accepted; check the secret key and the computer's clock",
}
