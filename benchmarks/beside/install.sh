#!/usr/bin/env bash
# What `make bench-beside` measures beside ours: Vendure, and the driver that lets Tryton keep its books in PostgreSQL
# (Tryton itself is built by its sandbox). Copyleft software, installed apart and run in processes of its own. What
# cannot be installed is left out, and said to be missing.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
peers=.crossdock/peers
mkdir -p "$peers"

if [ ! -d "$peers/tryton-postgres/psycopg" ]; then
  "${PYTHON:-python3}" -m venv "$peers/pip" &&
    "$peers/pip/bin/python" -m pip install --quiet --disable-pip-version-check --target "$peers/tryton-postgres" \
      psycopg==3.3.9 psycopg-binary==3.3.9 psycopg-pool==3.3.3 || echo "missing: Tryton's driver for PostgreSQL" >&2
  rm -rf "$peers/pip"
fi

if ! command -v npm >/dev/null; then
  echo "missing: vendure (install nodejs and npm for it)" >&2
elif [ ! -d "$peers/vendure/node_modules/@vendure/core" ]; then
  mkdir -p "$peers/vendure"
  cp "$here/vendure.json" "$peers/vendure/package.json"
  npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix "$peers/vendure" ||
    echo "missing: vendure" >&2
fi
