"""What stores say when they refuse or fail, each in one sentence: every library of them has its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ccp_assess.errors import CcpAssessError, first_line
from ccp_assess.fleet.needs import FleetError

_LIBRARIES = frozenset(
    {"adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs", "urllib3"}
)
_EXTRAS = {
    "s3": "fleet",
    "s3a": "fleet",
    "gs": "google",
    "gcs": "google",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
}
_SECRETS = (
    "credential",  # of S3 and Google
    "clientauthentication",  # of Azure
    "invalidaccesskeyid",
    "connection_string",
)
_CLOCK = (
    "difference between the request time and",  # of S3
    "requesttimetooskewed",
    "short-lived token",  # of Google: "must be a short-lived token and in a reasonable timeframe"
)
_DENIED = ("accessdenied", "access denied", "forbidden", "permission", "not authorized", "authorizationfailure")
_MISSING = ("does not exist", "nosuchbucket", "containernotfound", "notfound")


def is_of_a_store(error: BaseException) -> bool:
    """Tell a failure of a store, or of a disk, from a fault of our own.

    Parameters
    ----------
    error
        What was raised.

    Returns
    -------
    so
        Whether it was.
    """
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _LIBRARIES


def why(error: BaseException, url: str) -> str:
    """Say why a store refused.

    Parameters
    ----------
    error
        Of its library.
    url
        Of the place that was asked for.

    Returns
    -------
    text
        What is wrong and what to do, without a full stop.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    text = first_line(error)
    told = f"{type(error).__name__} {error}".casefold()
    if isinstance(error, ImportError) and scheme in _EXTRAS:
        return f"its driver is not installed; run `pip install 'ccp-assess[{_EXTRAS[scheme]}]'`, on every worker too"
    if not scheme:
        return text
    if any(word in told for word in _CLOCK):
        return "the clock of the machine that asked is wrong by more than the store allows; set it, there and here"
    if any(word in told for word in _SECRETS):
        return f"no credentials for {scheme}:// were accepted; set them on this machine and on every worker"
    if isinstance(error, PermissionError) or any(word in told for word in _DENIED):
        return "these credentials have no access to it; let them list, read, write and remove there"
    if isinstance(error, FileNotFoundError) or any(word in told for word in _MISSING):
        return "there is no such bucket; make it first, or correct its name"
    return text


@contextmanager
def _told(sentence: Callable[[str], str], url: str) -> Iterator[None]:
    try:
        yield
    except CcpAssessError:
        raise
    except Exception as error:
        if not is_of_a_store(error):
            raise
        raise FleetError(f"{url}: {sentence(why(error, url))}") from error


def told_as_kept(url: str) -> AbstractContextManager[None]:
    """Turn what a store raises in the middle of a run into one sentence.

    Parameters
    ----------
    url
        Of the destination.

    Returns
    -------
    context
        The run goes on inside; a `FleetError` comes in place of what the store raised.
    """
    return _told(
        lambda reason: f"a store or disk failed ({reason}); what was finished is kept: run the same command again", url
    )


def told_as_unread(url: str) -> AbstractContextManager[None]:
    """Turn what a store raises where it is only read into one sentence.

    Parameters
    ----------
    url
        Of the dataset.

    Returns
    -------
    context
        What reads goes on inside; a `FleetError` comes in place of what the store raised.
    """
    return _told(lambda reason: f"cannot be read ({reason})", url)
