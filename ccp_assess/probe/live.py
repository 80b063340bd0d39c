"""What a round knows of each Region while it still goes on, for whoever watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ccp_assess.probe.document import region_document
from ccp_assess.probe.records import RegionReach, WayFound

OnRegion = Callable[[dict[str, Any]], None]
"""Hears a Region's row of the probe document, as far as it is known."""


class LiveRegions:
    """Puts together what comes from two threads: reaching, and the paths that are traced beside it.

    Parameters
    ----------
    hear
        Called whenever more of a Region is known, once it was reached; diagnoses come with the whole round only.
    """

    def __init__(self, hear: OnRegion) -> None:
        self._hear = hear
        self._lock = threading.Lock()
        self._rows: dict[str | None, dict[str, Any]] = {}
        self._paths: dict[str | None, dict[str, Any]] = {}

    def reached(self, region: RegionReach) -> None:
        """Take in what reaching a Region found."""
        with self._lock:
            self._rows[region.region_code] = region_document(region, (), WayFound())
            self._tell(region.region_code)

    def traced(self, record: Mapping[str, Any], code: str | None) -> None:
        """Take in the record of a path, as of a sweep."""
        hops = [
            {"ttl": ttl, "address": address, "rtt_min_ms": rtt_ms, "rtt_avg_ms": rtt_ms, "asn": None}
            for ttl, address, rtt_ms in record["hops"]
        ]
        with self._lock:
            self._paths[code] = {
                "technique": "udp",
                "hop_count": record["hop_count"],
                "destination_answered": record["hop_count"] is not None,
                "hops": hops,
            }
            self._tell(code)

    def _tell(self, code: str | None) -> None:
        if code in self._rows:
            self._hear(self._rows[code] | {"path": self._paths.get(code)})
