#!/usr/bin/env bash
# The DNS servers and the load balancer that tests of discovery talk to, from Debian's packages. Where they cannot be installed, those tests are
# skipped and say so. Nothing is started.
set -uo pipefail
declare -A of=([named]=bind9 [knotd]=knot [haproxy]=haproxy)
missing=()
for program in "${!of[@]}"; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("${of[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed, tests that need them are skipped: ${missing[*]}" >&2
  exit 1
fi
# Packages of servers start them unless told otherwise.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT
fi
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2
