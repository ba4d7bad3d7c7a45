# Boots systemd as PID 1 of namespaces of its own over the held root in $1, in the cgroup $2. Its end is the end of this
# process. $3 stands in a file of that root and nowhere else: systemd must never start over the root of this machine.
set -euo pipefail
root=$1 cgroup=$2 token=$3
echo 0 >"$cgroup/cgroup.procs" # the cgroup namespace starts here: systemd owns this subtree
# shellcheck disable=SC2016 # for the other bash
exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --propagation private bash -c '
  set -euo pipefail
  root=$1 token=$2
  read -r pid _ </proc/self/stat # of /proc outside
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys" # the settings of this kernel are not for the machine to change
  mount -t sysfs sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs tmpfs "$root/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for name in null zero full random urandom tty fuse loop-control autofs; do cp -a "/dev/$name" "$root/dev/"; done
  for number in {0..63}; do mknod -m 660 "$root/dev/loop$number" b 7 "$number"; done
  mkdir "$root/dev/pts"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  mkdir -p "$root/.outside"
  cd "$root"
  pivot_root . .outside
  umount -l /.outside
  [[ $(</.sheepfs-machine) == "$token" ]]
  echo "boots $pid"
  exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --log-target=journal --show-status=no systemd.unit=multi-user.target
' - "$root" "$token"
