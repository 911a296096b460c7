#!/bin/sh
# Builds the programs of real nodes: lab/node/build.sh DIR
#
# The kubelet and kube-proxy come from the lab's own module, containerd, runc and the CNI plugins from this one, which pins
# them. About 3 minutes of CPU time at first, with hansa-lab's packages built already; then half a minute.
set -eu
out=$(realpath -m -- "${1:?usage: lab/node/build.sh DIR}")
cd "$(dirname -- "$0")"
./packages.sh

mkdir -p "$out"
draft=$(mktemp -d "$out/draft-XXXXXX")
trap 'rm -rf "$draft"' EXIT
containerd=github.com/containerd/containerd/v2/cmd
plugins=github.com/containernetworking/plugins/plugins
CGO_ENABLED=0 go build -o "$draft/" -ldflags '-s -w' -tags 'no_btrfs no_zfs no_devmapper' \
	$containerd/containerd $containerd/containerd-shim-runc-v2 $containerd/ctr
CGO_ENABLED=0 go build -o "$draft/" -ldflags '-s -w' \
	$plugins/main/bridge $plugins/main/loopback $plugins/ipam/host-local ./pause
go build -o "$draft/" -ldflags '-s -w' -tags seccomp github.com/opencontainers/runc
../build.sh "$draft/hansa-node" ./hansa-node
(cd ../.. && go run ./internal/image/mkimage -name hansa-lab.local/pause:1 -arch "$(go env GOARCH)" -entrypoint /pause \
	-o "$draft/pause.tar" "$draft/pause=/pause")
# New files, never the old ones overwritten: running nodes go on with theirs.
mv -f -- "$draft"/* "$out"
