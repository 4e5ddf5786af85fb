#!/bin/sh
# Starts nginx and keeps its list of front ends, its certificates and its allow-list up to date. A reload drops nothing:
# old workers finish what they have while new ones take what comes.
#   FRONT        name that resolves to every front end (default: front)
#   ALLOWED      networks that may come in, separated by spaces; empty: all
set -eu
front=${FRONT:-front}
port=${FRONT_PORT:-8080}
umask 077
mkdir -p /tmp/nginx/tls

addresses() {
  found=$(getent ahostsv4 "$front" 2>/dev/null | awk '{print $1}' | sort -u)
  if [ -z "$found" ]; then
    found=$(nslookup "$front" 2>/dev/null | awk '/^Address/ && !/:53$/ && !/#53$/ {print $NF}' | grep -E '^[0-9.]+$' | sort -u)
  fi
  printf '%s' "$found"
}

upstream() {
  list=$(addresses) || list=
  printf 'upstream front {\n  hash $affinity consistent;\n'
  if [ -z "$list" ]; then
    printf '  server 127.0.0.1:9;\n'
  else
    for address in $list; do printf '  server %s:%s max_fails=1 fail_timeout=2s;\n' "$address" "$port"; done
  fi
  printf '}\n'
}

allowed() {
  for network in ${ALLOWED:-}; do printf 'allow %s;\n' "$network"; done
  if [ -n "${ALLOWED:-}" ]; then printf 'deny all;\n'; fi
}

certificates() {
  cp /run/secrets/nginx.crt /tmp/nginx/tls/nginx.crt.new && mv /tmp/nginx/tls/nginx.crt.new /tmp/nginx/tls/nginx.crt
  cp /run/secrets/nginx.key /tmp/nginx/tls/nginx.key.new && mv /tmp/nginx/tls/nginx.key.new /tmp/nginx/tls/nginx.key
}

state() { cat /tmp/nginx/upstream.conf /run/secrets/nginx.crt | cksum; }

allowed > /tmp/nginx/allowed.conf
upstream > /tmp/nginx/upstream.conf
certificates
nginx -g 'daemon off;' &
nginx=$!
trap 'kill -QUIT "$nginx"' TERM INT QUIT
last=$(state)
while kill -0 "$nginx" 2>/dev/null; do
  sleep 1 &
  wait $! || true
  upstream > /tmp/nginx/upstream.new
  # Without an answer of the name server the last list stays.
  grep -q '127.0.0.1:9;' /tmp/nginx/upstream.new || mv /tmp/nginx/upstream.new /tmp/nginx/upstream.conf
  now=$(state)
  if [ "$now" != "$last" ]; then
    certificates
    if nginx -t -q; then nginx -s reload; fi
    last=$now
  fi
done
wait "$nginx"
