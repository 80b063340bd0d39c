#!/bin/sh
# Install the programs that the tests compare with (tshark, Chromium, ...), where we may: Debian, as root.
set -eu
missing=""
for pair in tshark:tshark chromium:chromium tcpdump:tcpdump nft:nftables iptables:iptables node:nodejs ip:iproute2 sysctl:procps turnserver:coturn mtr:mtr-tiny traceroute:traceroute pdftotext:poppler-utils faketime:faketime; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing for the tests:$missing"
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "Not installed (tests that need them are skipped):$missing" >&2
fi
