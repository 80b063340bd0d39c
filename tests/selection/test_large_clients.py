"""Ten thousand sites: the whole answer within a gigabyte, and the same answer whatever the order of the rows."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys
import numpy as np
from ccp_assess.selection.ranking import rank
from ccp_assess.sites import CallerOrigin, Site, TransferTarget

sites, origins, targets = (int(word) for word in sys.argv[1:4])
rng = np.random.default_rng(5)
countries = ["US", "DE", "GB", "IN", "PH", "BR", "ZA", "JP", "AU", "CA", "FR", "ES"]

def place(i):
    latitude, longitude = float(rng.uniform(-40, 60)), float(rng.uniform(-120, 140))
    return {"latitude": latitude, "longitude": longitude, "country": countries[i % 12]}

access = ("office", "home", "vpn")
s = [Site(site_id=f"s{i}", name=f"s{i}", agents=int(rng.integers(1, 50)), access=access[i % 3], **place(i))
     for i in range(sites)]
o = [CallerOrigin(origin_id=f"o{i}", call_share_pct=100 / origins, **place(i)) for i in range(origins)]
t = [TransferTarget(target_id=f"t{i}", share_of_calls_pct=20 / targets, circular=i % 4 == 0, **place(i))
     for i in range(targets)]
if "reversed" in sys.argv:
    s, o, t = s[::-1], o[::-1], t[::-1]
document = rank(s, o, t).to_document()
print(json.dumps({
    "order": [option["regions"] for option in document["options"]],
    "mean": [option["mouth_to_ear_ms"]["mean"] for option in document["options"]],
    "probability": [option["probability_best_pct"] for option in document["options"]],
    "sites": len(document["options"][0]["by_site"]),
    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
}))
"""


def _run(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=600
    )
    return json.loads(done.stdout)


@pytest.mark.long
def test_ten_thousand_sites_fit_into_a_gigabyte_in_any_order():
    once, again = _run(10_000, 500, 100), _run(10_000, 500, 100, "reversed")
    assert once["megabytes"] < 1000
    assert once["sites"] == 10_000
    assert once["order"] == again["order"]
    assert once["mean"] == pytest.approx(again["mean"], rel=1e-12)
    assert once["probability"] == again["probability"]


def test_a_few_hundred_sites_on_the_grid_are_ranked_alike_in_any_order():
    once, again = _run(300, 40, 12), _run(300, 40, 12, "reversed")
    assert once["order"] == again["order"]
    assert once["mean"] == pytest.approx(again["mean"], rel=1e-12)
    assert once["probability"] == again["probability"]
