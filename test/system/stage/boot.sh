#!/bin/bash
# Boots systemd as PID 1 of its own namespaces over the root in $1, in the cgroup $2. Its end is the end of this process.
# The network is its own, with nothing but loopback: ports cannot collide.
set -euo pipefail
root=$1 cgroup=$2
mkdir -p "$cgroup"
echo $$ >"$cgroup/cgroup.procs" # the cgroup namespace starts here: systemd owns this subtree
exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net --propagation private bash -c '
  set -euo pipefail # what fails here must end here: systemd must never start over the root of this machine
  root=$1
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs tmpfs "$root/tmp"
  mount --rbind /dev "$root/dev"
  cd "$root"
  mkdir -p .old
  pivot_root . .old
  umount -l /.old
  [[ $(stat --file-system --format=%T /) == overlayfs ]]
  hostname sheepfs-test
  exec env -i container=test PATH="$PATH" /lib/systemd/systemd --log-target=console systemd.unit=multi-user.target
' - "$root"
