#!/bin/bash
# Does what systemctl would do to one instance of sheepfs, in a root without systemd.
set -euo pipefail
instance=${*: -1}
instance=${instance#sheepfs@}
log=/run/$instance.log

ready() { timeout 60 sed --unbuffered '/"msg":"ready/q' < <(exec tail --pid="$(cat "/run/$instance.pid")" -n +1 -f "$log") >/dev/null; }

case $1 in
  enable)
    : >"$log"
    setsid sheepfsd "$instance" </dev/null &>>"$log" &
    echo $! >"/run/$instance.pid"
    ready
    ;;
  reload) sheepfsctl --instance "$instance" reload ;;
  stop)
    kill "$(cat "/run/$instance.pid")"
    tail --pid="$(cat "/run/$instance.pid")" -f /dev/null
    ;;
esac
