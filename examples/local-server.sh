#!/bin/sh
# A "server" that is one process of this machine, for trying the command driver: its process id is its boot marker.
# Usage: local-server.sh look|start|stop|restart NAME
set -eu
folder=${LOCAL_SERVERS:-.fleetcron/local-servers}
pid_file=$folder/$2.pid
mkdir -p "$folder"

pid() { cat "$pid_file" 2>/dev/null || true; }
runs() { [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }

start() {
    runs && return
    # The subshell stays behind to see the process end; nothing of it may hold this command's output open.
    (sleep 1000000 & echo $! >"$pid_file"; wait) >/dev/null 2>&1 &
}

stop() {
    runs && kill "$(pid)"
    while runs; do sleep 1; done
    rm -f "$pid_file"
}

case $1 in
    look) if runs; then echo power=on; echo "boot_marker=$(pid)"; else echo power=off; fi ;;
    start) start ;;
    stop) stop ;;
    restart) stop; start ;;
    *) echo "$1 is not known" >&2; exit 2 ;;
esac
