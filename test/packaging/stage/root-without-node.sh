#!/bin/bash
# Runs the bash script $2 in a root of its own in $1, this machine's without any Node.js. The other arguments are packages: they
# lie in /tmp there. Takes everything down again.
set -euo pipefail
base=$1 script=$2
shift 2
root=$base/root

mount -t tmpfs tmpfs "$base"
mkdir "$base"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
for folder in run tmp mnt srv; do mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"; done
ip link set lo up

mapfile -t nodes < <(type -ap node)
for node in "${nodes[@]}"; do rm -f "$root/$node"; done
rm -f "$root/var/lib/man-db/auto-update" # it takes longer than an installation
cp "$script" "$root/tmp/script"
cp "$@" "$root/tmp"
exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -eux /tmp/script
