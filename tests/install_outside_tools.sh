#!/usr/bin/env bash
# What `make test-all` needs beyond Python wheels, from Debian's own packages. Each part says what it is for.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
  echo "this installs with apt-get: on another system install chromium and its chromedriver yourself" >&2
  exit 1
fi
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# tests/gateway/console/test_browser.py: the console in a headless browser
if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
  echo "installing chromium and chromium-driver"
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core
fi
