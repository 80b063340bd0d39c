"""Make the shipped tables of published ranges out of a whole ip-ranges.json: `refresh_reference.py ip-ranges.json`."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from pathlib import Path

from ccp_assess.prefixes import parse_prefix
from ccp_assess.ranges import CONNECT, SOURCE, read_ranges

# EC2, CLOUDFRONT and AMAZON_CONNECT make Option 2; the others tell whose an address in a capture is.
SERVICES = (CONNECT, "EC2", "CLOUDFRONT", "GLOBALACCELERATOR", "S3", "CHIME_MEETINGS", "AMAZON")


def main(path: str) -> None:
    ranges = read_ranges(path)
    folder = Path(__file__).resolve().parent.parent / "ccp_assess" / "reference"
    rows = [(text, region, name) for name in SERVICES for text, region in ranges.by_service.get(name, ())]
    document = {
        "syncToken": ranges.sync_token,
        "createDate": f"{ranges.created:%Y-%m-%d-%H-%M-%S}",
        "prefixes": [
            {"ip_prefix": text, "region": region, "service": name} for text, region, name in rows if ":" not in text
        ],
        "ipv6_prefixes": [
            {"ipv6_prefix": text, "region": region, "service": name} for text, region, name in rows if ":" in text
        ],
    }
    packed = gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 9, mtime=0)
    (folder / "ip-ranges.json.gz").write_bytes(packed)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["service", "region_code", "prefix", "source", "retrieved"])
    for text, region in sorted(ranges.by_service.get(CONNECT, ()), key=lambda row: parse_prefix(row[0])):
        writer.writerow([CONNECT, region, text, SOURCE, ranges.retrieved])
    (folder / "ranges.csv").write_text(table.getvalue(), encoding="utf-8")
    print(f"{len(rows)} rows of {ranges.retrieved}, {len(packed)} bytes packed")


if __name__ == "__main__":
    main(sys.argv[1])
