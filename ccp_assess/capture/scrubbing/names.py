"""Names mapped label by label, at the same length: who was asked cannot be read, but the same name stays the same.

AWS's own names stay, since they tell Region and role. What a customer chose within them does not: the alias of an
instance, the name of a bucket or of a load balancer.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import re
from functools import cache, lru_cache
from importlib import resources

from ccp_assess.capture.scrubbing.keys import derive
from ccp_assess.endpoints import read_patterns

AWS_SUFFIXES = (
    "amazonaws.com", "amazonaws.com.cn", "amazonaws-us-gov.com", "aws.amazon.com", "aws", "awsapps.com",
    "cloudfront.net", "awsglobalaccelerator.com", "awsstatic.com", "amazontrust.com",
)  # fmt: skip
"""Domains in which AWS gives the names."""

_CUSTOMERS_CHOICE = frozenset({"my.connect.aws", "awsapps.com"})
"""Domains directly below which only customers' names stand."""

_LETTERS = "bcdfghjkmnpqrsvz"
"""Sixteen letters of which no word of AWS's own names in the table of endpoints can be made."""

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_SERVICE_AND_REGION = re.compile(rf"([a-z0-9-]+?)[-.]{_REGION.pattern}")
_HOST_NAME = re.compile(rb"(?:\*\.)?[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})+\.?")
MOST_REMEMBERED = 200_000


class NameMap:
    """Keyed mapping of names.

    Parameters
    ----------
    key
        The client's key.
    """

    def __init__(self, key: bytes) -> None:
        self._secret = derive(key, "names")
        self._known: dict[bytes, bytes] = {}

    def letters(self, text: bytes) -> bytes:
        """Map a text to letters of the same length; case does not matter.

        Parameters
        ----------
        text
            Whatever stood there.

        Returns
        -------
        letters
            As many bytes.
        """
        lowered = text.lower()
        found = self._known.get(lowered)
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = self._known[lowered] = self._letters(lowered)
        return found

    def _letters(self, text: bytes) -> bytes:
        digits = ""
        for count in range(len(text) // 64 + 1):
            digits += hmac.new(self._secret, text + bytes([count & 255]), hashlib.sha256).hexdigest()
        return "".join(_LETTERS[int(digit, 16)] for digit in digits[: len(text)]).encode()

    def label(self, label: bytes, parent: str) -> bytes:
        """Map one label of a host name.

        Parameters
        ----------
        label
            As it stands on the wire.
        parent
            What stands right of it, in lower case with dots; empty for the last label.

        Returns
        -------
        label
            Of the same length; unchanged if it is AWS's own.
        """
        if label == b"*" or is_aws_label(label.decode("latin-1").lower(), parent):
            return label
        return self.letters(label)

    def host(self, name: bytes) -> bytes:
        """Map a host name in text form.

        Parameters
        ----------
        name
            Labels with dots; anything else becomes letters.

        Returns
        -------
        name
            Of the same length.
        """
        if not _HOST_NAME.fullmatch(name):
            return self.letters(name)
        parent, mapped = "", []
        for label in reversed(name.split(b".")):
            mapped.append(self.label(label, parent) if label else label)
            text = label.decode("latin-1").lower()
            parent = f"{text}.{parent}" if parent else text
        return b".".join(reversed(mapped))


@lru_cache(maxsize=65_536)
def is_aws_label(label: str, parent: str) -> bool:
    """Tell whether a label is part of a name that AWS gave.

    Parameters
    ----------
    label, parent
        In lower case; the parent is what stands right of it.

    Returns
    -------
    is_aws
        False for what customers choose within AWS's domains.

    Examples
    --------
    >>> is_aws_label("connect", "eu-west-2.amazonaws.com"), is_aws_label("acme", "my.connect.aws")
    (True, False)
    """
    name = f"{label}.{parent}" if parent else label
    if any(name == suffix or suffix.endswith(f".{name}") for suffix in AWS_SUFFIXES):
        return True
    if not any(parent == suffix or parent.endswith(f".{suffix}") for suffix in AWS_SUFFIXES):
        return False
    if parent in _CUSTOMERS_CHOICE:
        return False
    if _REGION.fullmatch(label) or any(expression.fullmatch(label) for expression in _label_expressions()):
        return True
    first, _, rest = parent.partition(".")
    is_first_of_service = parent in AWS_SUFFIXES or (_REGION.fullmatch(first) is not None and rest in AWS_SUFFIXES)
    service = label.removesuffix("-fips")
    joined = _SERVICE_AND_REGION.fullmatch(service)  # as in "s3-eu-west-1"
    return is_first_of_service and (joined.group(1) if joined else service) in _service_labels()


@cache
def _service_labels() -> frozenset[str]:
    content = resources.files("ccp_assess.reference").joinpath("aws_services.csv").read_text(encoding="utf-8")
    return frozenset(row["label"] for row in csv.DictReader(io.StringIO(content)))


@cache
def _label_expressions() -> tuple[re.Pattern[str], ...]:
    """Labels that the table of endpoints spells out, in whole or in part."""
    region = _REGION.pattern
    labels = {label.lower() for pattern in read_patterns() for label in pattern.host.split(".")}
    spelled = (label for label in labels if re.sub(r"\*|\{\w+\}", "", label))
    made = (
        "".join(
            region if part == "{region}" else r"[a-z0-9_-]*" if part.startswith(("*", "{")) else re.escape(part)
            for part in re.split(r"(\*|\{\w+\})", label)
        )
        for label in sorted(spelled)
    )
    return tuple(re.compile(expression) for expression in made)
