#!/bin/sh
# Makes sure that this machine has what real nodes need beside Go: nft to run, a C compiler and libseccomp's headers to
# build runc. As root on Debian or Ubuntu it installs what is missing; elsewhere it says what that is, and fails.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=
command -v nft >/dev/null || missing="$missing nftables"
[ -e /usr/include/seccomp.h ] || missing="$missing libseccomp-dev"
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
command -v pkg-config >/dev/null || missing="$missing pkg-config"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "real nodes need the packages$missing (as Debian calls them): install them first" >&2
	exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
