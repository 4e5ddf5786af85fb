#!/usr/bin/env bash
# Builds the images, deploys the whole stack to the swarm that `docker` points at, and tries it.
#   swarm.sh up       build, deploy, smoke test      (STAGING=0: real market data; the default plays recorded prices)
#   swarm.sh smoke    only the smoke test
#   swarm.sh trial    kill, replace and scale it under load (tests/swarm)
#   swarm.sh restore [SNAPSHOT] [--at MOMENT]    stop, bring a backup back into empty volumes, start, verify
#   swarm.sh down     remove the stack; KEEP=1 keeps the data
set -euo pipefail
cd "$(dirname "$0")/.."
export STACK=${STACK:-crypto} VERSION=${VERSION:-dev}
export DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0}
CLI=${CLI:-.venv/bin/crypto-mcp}
HOST=${HOST:-localhost}
LAB=/var/tmp/docker-lab/docker.sock
if [ -z "${DOCKER_HOST:-}" ] && ! docker info >/dev/null 2>&1 && [ -S "$LAB" ]; then export DOCKER_HOST=unix://$LAB; fi
case ${DOCKER_HOST:-} in unix://*) export DOCKER_SOCKET=${DOCKER_SOCKET:-${DOCKER_HOST#unix://}} ;; esac
say() { printf '\n== %s\n' "$*" >&2; }

files=(-c compose/docker-compose.yml -c compose/docker-compose.production.yml)
if [ "${STAGING:-1}" = 1 ]; then
  files+=(-c compose/docker-compose.staging.yml)
  # One machine that may be small: the autoscaler has less to give.
  export SCALING=${SCALING:-on} APP_CPUS_RESERVED=0.1 APP_MEMORY_RESERVED=256M
fi

build() {
  say "images"
  for target in front worker scheduler sandbox; do
    if [ "$target" = sandbox ] && [ "${STAGING:-1}" != 1 ]; then continue; fi
    nice -n 10 docker build -q --network host --target "$target" --build-arg VERSION="$VERSION" \
      -t "${REGISTRY:-}crypto-mcp-$target:$VERSION" -f compose/Dockerfile .
  done
}

# The vendors' images; where no registry answers, the same servers from Debian's packages.
servers() {
  local name image
  for name in mongo redis postgres nginx; do
    case $name in
      mongo) image=${MONGO_IMAGE:-mongo:7.0} ;; redis) image=${REDIS_IMAGE:-redis:8} ;;
      postgres) image=${POSTGRES_IMAGE:-postgres:17} ;; nginx) image=${NGINX_IMAGE:-nginx:alpine} ;;
    esac
    docker image inspect "$image" >/dev/null 2>&1 && continue
    timeout 120 docker pull -q "$image" 2>/dev/null && continue
    say "$image cannot be had here: building a stand-in"
    nice -n 10 docker build -q --network host -t "$image" -f "compose/stand-ins/$name.Dockerfile" .
  done
}

deploy() {
  say "secrets and certificates"
  "$CLI" deploy secrets --folder compose/secrets --name "$HOST"
  eval "$("$CLI" deploy versions compose/secrets/* compose/databases/* nginx/*)"
  local node
  node=$(docker info --format '{{.Swarm.NodeID}}')
  [ -n "$node" ] || { echo "no swarm here: docker swarm init" >&2; exit 1; }
  docker node inspect "$node" --format '{{index .Spec.Labels "crypto.data"}}' | grep -q true ||
    docker node update --label-add crypto.data=true "$node" >/dev/null
  export ALLOWED_HOSTS="[\"$HOST\",\"$HOST:*\",\"localhost\",\"127.0.0.1\"]"
  say "stack $STACK"
  docker stack deploy --resolve-image never --prune "${files[@]}" "$STACK"
}

# Of a service: how many of its tasks run, and are healthy where they say so.
running() { docker service ps "${STACK}_$1" --filter desired-state=running --format '{{.CurrentState}}' 2>/dev/null | grep -c '^Running' || true; }

wait_up() {
  local began=$SECONDS service wanted
  for service in redis-queue redis-cache mongodb postgresql front worker-analysis worker-alerts scheduler nginx; do
    until [ "$(running "$service")" -ge 1 ]; do
      if ((SECONDS - began > ${WITHIN:-300})); then
        echo "$service does not run:" >&2
        docker service ps --no-trunc "${STACK}_$service" >&2
        docker service logs --tail 20 "${STACK}_$service" >&2 || true
        exit 1
      fi
      sleep 1
    done
  done
  say "all services run after $((SECONDS - began)) s"
}

# In any container of a service.
inside() { local service=$1; shift; docker exec -i "$(docker ps -q --filter "label=com.docker.swarm.service.name=${STACK}_$service" --filter health=healthy | head -n 1)" "$@"; }

# A program of the scheduler's image with the stack's secrets, to its end; the words before `--` go to `docker service create`.
once() {
  local name=${STACK}_once options=() state
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  docker service rm "$name" >/dev/null 2>&1 || true
  docker service create --detach --quiet --no-resolve-image --name "$name" --restart-condition none --user 0:0 \
    --constraint node.labels.crypto.data==true --mount type=volume,source="${STACK}_backups",target=/data \
    --network "${STACK}_kaayaan-back" --network "${STACK}_kaayaan-egress" --no-healthcheck --env CRYPTO_MCP_WAIT_FOR= \
    --env CRYPTO_MCP_BACKUP__REPOSITORY="${BACKUP_REPOSITORY:-/data/repository}" \
    --secret source="scheduler-settings-$SCHEDULER_ENV_VERSION",target=settings.env \
    --secret source="keys-$KEYS_ENV_VERSION",target=keys.env --secret source="ca-$CA_CRT_VERSION",target=ca.crt \
    --secret source="passwords-$PASSWORDS_JSON_VERSION",target=passwords.json \
    "${options[@]}" "${REGISTRY:-}crypto-mcp-scheduler:$VERSION" "$@" >/dev/null
  until state=$(docker service ps "$name" --format '{{.CurrentState}} {{.Error}}' | head -n 1); [[ $state =~ ^(Complete|Failed|Rejected) ]]; do
    sleep 1
  done
  docker service logs --raw "$name" >&2
  docker service rm "$name" >/dev/null
  [[ $state == Complete* ]] || { echo "not done: $state" >&2; return 1; }
}

scaled() {
  local number=$1; shift
  for service in "$@"; do docker service scale --detach "${STACK}_$service=$number" >/dev/null; done
}

# The specification's six steps. It overwrites nothing: volumes that hold data have to be removed first, by hand.
restore() {
  local programs=(front worker-analysis worker-backtest worker-alerts scheduler) stores=(redis-queue mongodb postgresql) service
  eval "$("$CLI" deploy versions compose/secrets/* compose/databases/* nginx/*)"
  say "1. stop"
  scaled 0 "${programs[@]}" "${stores[@]}"
  for service in "${programs[@]}" "${stores[@]}"; do
    until [ -z "$(docker ps -q --filter "label=com.docker.swarm.service.name=${STACK}_$service")" ]; do sleep 1; done
  done
  say "2. databases"
  local label=volume-label=com.docker.stack.namespace=$STACK
  once --mount "type=volume,source=${STACK}_redis-queue,target=/volumes/redis,$label" \
    --mount "type=volume,source=${STACK}_postgresql,target=/volumes/postgresql,$label" -- \
    sh -c 'crypto-mcp restore "$@" --redis /volumes/redis --postgres /volumes/postgresql/cluster --work /data --yes &&
      chown -R 999:999 /volumes/redis /volumes/postgresql' restore "$@"
  scaled 1 "${stores[@]}"
  docker service update --detach --force "${STACK}_init" >/dev/null
  until docker service ps "${STACK}_init" --format '{{.CurrentState}}' | head -n 1 | grep -q ^Complete; do sleep 1; done
  once -- crypto-mcp restore "$@" --mongo /run/secrets/passwords.json --work /data --yes
  say "3. configuration: compose/secrets of this machine is in force; that of the backup: restore --files"
  say "4. start"
  deploy
  wait_up
  say "5. verify"
  local words began
  for words in "doctor" "audit verify" "portfolio verify" "user erase-again"; do
    began=$SECONDS
    # What has just come up may be slow for a moment.
    # shellcheck disable=SC2086
    until inside front crypto-mcp $words >&2; do ((SECONDS - began < 180)) || { echo "does not hold: crypto-mcp $words" >&2; exit 1; }; sleep 5; done
  done
  say "6. resumed"
  smoke
}

smoke() {
  local key answer began=$SECONDS
  until curl -fsS --cacert compose/secrets/ca.crt "https://$HOST/health" -o /dev/null 2>/dev/null; do
    ((SECONDS - began < 120)) || { curl -sS --cacert compose/secrets/ca.crt "https://$HOST/health" >&2; exit 1; }
    sleep 1
  done
  until [ -n "$(docker ps -q --filter "label=com.docker.swarm.service.name=${STACK}_front" --filter health=healthy)" ]; do sleep 1; done
  key=$(inside front crypto-mcp keys create smoke --role trader --days 1 | grep -oE 'cmcp_[A-Za-z0-9_-]+' | head -n 1)
  # The first one may take longer than a call may: workers have just come up.
  until answer=$(curl -sS --cacert compose/secrets/ca.crt -H "Authorization: Bearer $key" -H 'content-type: application/json' \
    -d '{"symbol":"BTCUSDT","timeframe":"1h"}' "https://$HOST/v1/jobs/analyze_crypto?wait=25") && grep -q '"recommendation"' <<<"$answer"; do
    ((SECONDS - began < 180)) || { echo "no analysis: $answer" >&2; exit 1; }
    sleep 1
  done
  say "an analysis through nginx and TLS: $(echo "$answer" | head -c 160)..."
  curl -sS -o /dev/null -w '%{http_code} %{redirect_url}\n' "http://$HOST/health" | grep -q '^308 https' || { echo "80 does not lead to 443" >&2; exit 1; }
  [ "$(curl -sS --cacert compose/secrets/ca.crt -o /dev/null -w '%{http_code}' "https://$HOST/metrics")" = 404 ] || { echo "/metrics is open" >&2; exit 1; }
  say "smoke test passed"
}

if [[ ${1:-up} =~ ^(up|build|deploy|smoke|trial|restore|down)$ ]] && ! docker info >/dev/null 2>&1; then
  echo "no Docker engine answers at ${DOCKER_HOST:-the default socket}: start one, or set DOCKER_HOST (and see docs/operations.md)" >&2
  exit 1
fi

case ${1:-up} in
  up) build; servers; deploy; wait_up; smoke ;;
  build) build; servers ;;
  deploy) deploy; wait_up ;;
  smoke) smoke ;;
  trial) shift; exec "${CLI%/*}/python" -m tests.swarm "$@" ;;
  restore) shift; restore "${@:-latest}" ;;
  down)
    docker stack rm "$STACK"
    until [ -z "$(docker ps -aq --filter "label=com.docker.stack.namespace=$STACK")" ]; do sleep 1; done
    if [ -z "${KEEP:-}" ]; then
      sleep 2
      docker volume ls -q --filter "label=com.docker.stack.namespace=$STACK" | xargs -r docker volume rm >/dev/null
    fi
    ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac
