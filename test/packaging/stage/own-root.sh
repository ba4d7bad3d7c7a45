# shellcheck shell=bash
# Sourced: makes a root in $1/root, this machine's with a layer of its own above it, in the present mount namespace.
base=$1
root=$base/root

mount -t tmpfs tmpfs "$base"
mkdir "$base"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
for folder in run tmp mnt srv; do mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"; done
ip link set lo up
