#!/bin/sh
# Makes the virtual environment from the hashed lock file: set_up.sh PYTHON FOLDER. Called by make.
# On a terminal a line shows how far it is; elsewhere only beginning and end are told.
set -eu
cd "$(dirname "$0")/.."
python=$1 folder=$2
log=$folder/set-up.log

refuse() { echo "crossdock: $1" >&2; exit 1; }

command -v "$python" > /dev/null 2>&1 || refuse "there is no $python: install Python 3.11, 3.12 or 3.13, or make PYTHON=/path/to/python3.13"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))') \
  || refuse "$python is Python ${version:-that does not start}; needed is 3.11, 3.12 or 3.13 (the embedded Valkey has no wheel for later ones): make PYTHON=/path/to/python3.13"
"$python" -c 'import venv, ensurepip' 2> /dev/null \
  || refuse "this Python has no venv module: install your system's python3-venv package (Debian, Ubuntu: apt install python3-venv)"
mkdir -p "$folder" 2> /dev/null && : 2> /dev/null > "$log" || refuse "cannot write to $PWD/$folder: clone into a folder of your own"

total=$(grep -c '^[a-z0-9]' requirements-dev.lock)
began=$(date +%s)
show() {  # only on a terminal
  [ -t 2 ] || return 0
  done=$(grep -c '^Collecting ' "$log" || true)
  [ "$done" -le "$total" ] || done=$total
  printf '\r  %s  %s of %s packages  %s s \033[K' "$1" "$done" "$total" "$(($(date +%s) - began))" >&2
}
run() {  # run WHAT COMMAND...; its output goes to the log
  what=$1; shift
  "$@" >> "$log" 2>&1 &
  pid=$!
  trap 'kill $pid 2> /dev/null; wait $pid 2> /dev/null || true; [ ! -t 2 ] || echo >&2; echo "crossdock: interrupted; run make again to go on" >&2; exit 130' INT TERM HUP
  while kill -0 $pid 2> /dev/null; do show "$what"; sleep 0.3; done
  wait $pid || {
    [ ! -t 2 ] || echo >&2
    tail -n 15 "$log" | grep -v '^WARNING' >&2
    refuse "$what failed (all of it: $folder/set-up.log). Is the package index reachable? Then run make again"
  }
}

echo "setting up $folder with Python $version from requirements-dev.lock (about a minute, once)" >&2
run "making the environment" "$python" -m venv "$folder"
pip="$folder/bin/python -m pip install --progress-bar off --disable-pip-version-check --no-input"
run "installing" $pip --require-hashes -r requirements-dev.lock
run "installing Crossdock" $pip --no-deps --no-build-isolation -e .
[ ! -t 2 ] || printf '\r\033[K' >&2
echo "done in $(($(date +%s) - began)) s" >&2
