#!/usr/bin/env bash
# Renews the lock files: exact versions with hashes for every platform, naming no registry host.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -q "$@"; }
compile pyproject.toml --extra engines -o requirements.lock
compile pyproject.toml --extra engines --group dev -c requirements.lock -o requirements-dev.lock
compile pyproject.toml -c requirements.lock -o deploy/requirements.lock
compile --group build -c requirements-dev.lock -o deploy/requirements-build.lock
compile --group compile -c requirements-dev.lock -o deploy/requirements-compile.lock
