#!/bin/bash
# Does what systemctl would do to one instance of sheepfs, in a root without systemd.
set -euo pipefail
instance=${*: -1}
instance=${instance#sheepfs@}
log=/run/$instance.log

# Resolves with the next message of the log that matches.
await() { timeout 60 sed --unbuffered -E "/\"msg\":\"($1)/q" < <(exec tail --pid="$(cat "/run/$instance.pid")" -n "+$2" -f "$log") >/dev/null; }

case $1 in
  enable)
    : >"$log"
    setsid sheepfsd "$instance" </dev/null &>>"$log" &
    echo $! >"/run/$instance.pid"
    await ready 1
    ;;
  reload)
    from=$(($(wc -l <"$log") + 1))
    kill -HUP "$(cat "/run/$instance.pid")"
    await 'reloaded|not reloaded' "$from"
    ! tail -n "+$from" "$log" | grep -q '"msg":"not reloaded'
    ;;
  stop)
    kill "$(cat "/run/$instance.pid")"
    tail --pid="$(cat "/run/$instance.pid")" -f /dev/null
    ;;
esac
