#!/bin/sh
# A member of the replica set: TLS 1.3 only, accounts, members know each other by the key file.
set -eu
umask 077
mkdir -p /tmp/tls /data/db
cat /run/secrets/mongodb.crt /run/secrets/mongodb.key > /tmp/tls/mongodb.pem
cp /run/secrets/mongodb.keyfile /run/secrets/ca.crt /tmp/tls/
chmod 600 /tmp/tls/*
exec mongod --dbpath /data/db --replSet rs0 --keyFile /tmp/tls/mongodb.keyfile --auth --bind_ip_all --nounixsocket --quiet \
  --wiredTigerCacheSizeGB "${MONGO_CACHE_GB:-1}" \
  --tlsMode requireTLS --tlsCertificateKeyFile /tmp/tls/mongodb.pem --tlsCAFile /tmp/tls/ca.crt \
  --tlsAllowConnectionsWithoutCertificates --tlsDisabledProtocols TLS1_0,TLS1_1,TLS1_2
