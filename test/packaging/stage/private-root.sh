#!/bin/bash
# Runs the bash script $4 in a root of its own in $2, this machine's with sheepfs of the checkout $1 installed: with
# mounts and a network of its own, a cluster at 10.0.0.1 and the stand-in $3 for systemctl. Takes everything down again.
set -euo pipefail
checkout=$1 base=$2 systemctl=$3 script=$4
# shellcheck source=test/packaging/stage/own-root.sh
. "${0%/*}/own-root.sh" "$base"
ip address add 10.0.0.1/32 dev lo

node "$checkout/packaging/install.mjs" "$root"
install -m 755 "$systemctl" "$root/usr/local/bin/systemctl"
cp "$script" "$root/tmp/script"
chroot "$root" systemd-sysusers sheepfs.conf
coproc lamb { exec chroot "$root" lamb --store /tmp/lamb --host 10.0.0.1; }
# shellcheck disable=SC2154 # of coproc
pid=$lamb_PID
read -r line <&"${lamb[0]}" # it listens
echo "$line"
status=0
chroot "$root" bash -euxc 'cd /tmp; . ./script' || status=$?
chroot "$root" systemctl stop sheepfs@cluster1 || true
kill "$pid"
exit "$status"
