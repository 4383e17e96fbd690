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

# tests/gateway/contracts/test_outside_linters.py: the published contracts under the linters that others use
if command -v npm >/dev/null; then
  tools=.crossdock/outside-tools
  if [ ! -x "$tools/node_modules/.bin/redocly" ] || [ ! -x "$tools/node_modules/.bin/spectral" ]; then
    echo "installing redocly and spectral into $tools"
    npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$tools" \
      @redocly/cli@2.77.0 @stoplight/spectral-cli@6.16.3 @stoplight/spectral-owasp-ruleset@2.0.1
  fi
  # tests/gateway/identity/test_with_oidc_provider.py; in a folder of its own, because npm prunes what it was not asked for
  if [ ! -d .crossdock/oidc-provider/node_modules/oidc-provider ]; then
    echo "installing oidc-provider"
    npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix .crossdock/oidc-provider \
      oidc-provider@9.13.3 jose@6.2.17
  fi
else
  echo "no npm: the contracts are not linted with redocly and spectral (install nodejs and npm for that)" >&2
fi

# tests/benchmarks/edge/test_peer_proxies.py: that the proxies which the benchmark measures check as ours does
bash benchmarks/edge/install_peers.sh
