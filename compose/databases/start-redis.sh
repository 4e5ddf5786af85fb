#!/bin/sh
# Redis over TLS with accounts by role. Runs on the vendor's image and on Debian's package alike, without root.
#   start-redis.sh queue|cache
set -eu
umask 077
mkdir -p /tmp/tls
cp /run/secrets/redis.crt /run/secrets/redis.key /run/secrets/ca.crt /tmp/tls/
if [ "$1" = queue ]; then
  # Jobs are never evicted; at most about a second of them is lost when the machine dies.
  kind="--appendonly yes --appendfsync ${REDIS_FSYNC:-everysec} --maxmemory-policy noeviction"
else
  # A cache: whatever is least used goes first, and nothing is kept over a restart but what limits and sessions need.
  kind="--appendonly no --maxmemory ${REDIS_CACHE_MEMORY:-512mb} --maxmemory-policy allkeys-lru"
fi
# shellcheck disable=SC2086
exec redis-server --dir /data --port 0 --tls-port 6379 --bind '*' --protected-mode no --save '' $kind \
  --tls-cert-file /tmp/tls/redis.crt --tls-key-file /tmp/tls/redis.key --tls-ca-cert-file /tmp/tls/ca.crt \
  --tls-auth-clients no --tls-protocols TLSv1.3 --aclfile /run/secrets/redis.acl
