#!/bin/sh
# Makes deploy/secrets for compose.yaml, once: random passwords, the engines' addresses, a master key.
set -eu
cd "$(dirname "$0")"
[ ! -e secrets ] || { echo "deploy/secrets is there already: what it opens cannot be opened with others" >&2; exit 1; }
mkdir -m 700 secrets
random() { openssl rand -hex 24; }
keep() { cat > "secrets/$1"; chmod 644 "secrets/$1"; }  # the folder is private; containers read as users of their own
postgres=$(random) nats=$(random) valkey=$(random)
printf '%s' "$postgres" | keep postgres-password
printf 'postgresql://crossdock:%s@postgres:5432/crossdock' "$postgres" | keep postgres-url
printf 'port: 4222\njetstream { store_dir: /data }\nauthorization { user: crossdock, password: "%s" }\n' "$nats" | keep nats-conf
printf 'nats://crossdock:%s@nats:4222' "$nats" | keep nats-url
printf 'bind * -::*\nrequirepass %s\nsave ""\nmaxmemory 256mb\nmaxmemory-policy noeviction\n' "$valkey" | keep valkey-conf
printf 'redis://:%s@valkey:6379/0' "$valkey" | keep valkey-url
openssl rand -base64 48 | tr -d '\n' | keep master-1
random | keep console-bootstrap
echo "made deploy/secrets: keep a copy of master-1 elsewhere"
