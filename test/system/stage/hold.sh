# Holds the root of a machine and its network: an overlay of this machine's root with its changes in memory, mounted on $1, in
# namespaces of their own. Every line of stdin is a process whose mounts are to outlive it. When stdin ends, all that runs
# here is killed, and nothing is left of it, nor of the cgroups $2.*: also when the test has been killed.
set -euo pipefail
base=$1 cgroup=$2
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
read -r pid _ </proc/self/stat # of /proc outside
echo "holds $pid"

# A kernel that unmounts at the end of the last process does that before it closes the process's /dev/fuse: what is
# mounted there would be written for ever. With this hold it is closed first, and the writes fail.
# shellcheck disable=SC2034 # held is a descriptor
while read -r pid; do exec {held}<"/proc/$pid/ns/mnt"; done

kill -KILL -1 || true # in this PID namespace
for ((tries = 0; tries < 100; tries++)); do
  grep -qs 'populated 1' "$cgroup".*/cgroup.events || break
  sleep 0.1
done
find "$(dirname "$cgroup")" -depth -type d -path "$cgroup.*" -delete
umount --lazy --recursive "$base"
rmdir "$base"
