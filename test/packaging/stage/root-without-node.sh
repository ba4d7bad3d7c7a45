#!/bin/bash
# Runs the bash script $2 in a root of its own in $1, this machine's without any Node.js. The other arguments are packages: they
# lie in /tmp there. Takes everything down again.
set -euo pipefail
base=$1 script=$2
shift 2
# shellcheck source=test/packaging/stage/own-root.sh
. "${0%/*}/own-root.sh" "$base"

mapfile -t nodes < <(type -ap node)
for node in "${nodes[@]}"; do rm -f "$root/$node"; done
rm -f "$root/var/lib/man-db/auto-update" # it takes longer than an installation
cp "$script" "$root/tmp/script"
cp "$@" "$root/tmp"
exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -eux /tmp/script
