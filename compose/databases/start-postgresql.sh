#!/bin/sh
# PostgreSQL over TLS 1.3 only. The cluster is made beside its place and renamed: a crash leaves no half of one.
set -eu
umask 077
debian=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
PATH="${debian:+$debian:}$PATH"
data=/var/lib/postgresql/data
mkdir -p /tmp/tls
cp /run/secrets/postgresql.crt /run/secrets/postgresql.key /tmp/tls/
chmod 600 /tmp/tls/*
if [ ! -s "$data/cluster/PG_VERSION" ]; then
  rm -rf "$data/cluster.new"
  initdb -D "$data/cluster.new" -U postgres --pwfile=/run/secrets/postgresql-admin.password -A scram-sha-256 \
    -E UTF8 --locale=C --data-checksums --no-instructions
  mv "$data/cluster.new" "$data/cluster"
fi
cat > /tmp/pg_hba.conf <<'HBA'
local   all          all                scram-sha-256
hostssl replication  crypto_mcp_backup  all  scram-sha-256
hostssl all          all                all  scram-sha-256
HBA
exec postgres -D "$data/cluster" -c listen_addresses='*' -c unix_socket_directories=/tmp -c hba_file=/tmp/pg_hba.conf \
  -c ssl=on -c ssl_cert_file=/tmp/tls/postgresql.crt -c ssl_key_file=/tmp/tls/postgresql.key \
  -c ssl_min_protocol_version=TLSv1.3 -c password_encryption=scram-sha-256 \
  -c wal_level=replica -c max_wal_senders=10 -c max_slot_wal_keep_size=2GB -c shared_buffers="${POSTGRES_BUFFERS:-256MB}"
