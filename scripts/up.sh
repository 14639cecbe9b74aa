#!/usr/bin/env bash
# Brings the stack up and says where it is. STACK=official|stand-in decides about the images (scripts/images.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
stack=${STACK:-official}
folder=.stack
mkdir -p "$folder"

scripts/docker-engine.sh

setting() { # the value of a variable: from the environment, .env, or the default
    local value=${!1:-}
    [ -z "$value" ] && [ -f .env ] && value=$(sed -n "s/^$1=//p" .env | tail -1)
    echo "${value:-$2}"
}

STACK_VERSION=$(setting STACK_VERSION '')
export STACK_VERSION
if [ -z "$(setting ELASTICSEARCH_IMAGE '')" ]; then
    scripts/images.sh "$stack" >"$folder/images.env"
else
    : >"$folder/images.env"
fi
if grep -q stand-in "$folder/images.env"; then
    echo "up: with stand-ins: a real Elasticsearch that never carries out lifecycle policies, and a Kibana that shows" >&2
    echo "    nothing. Name your own images in .env." >&2
fi
# Where a proxy re-signs TLS, pip is told so by a variable; the build of the image then needs the same certificates.
export BUILD_CA=${BUILD_CA:-$(setting BUILD_CA "${PIP_CERT:-/dev/null}")}

compose=(docker compose --env-file "$folder/images.env")
[ -f .env ] && compose+=(--env-file .env)
address=$(setting BIND_ADDRESS 127.0.0.1)
if [ -z "$("${compose[@]}" ps -q elasticsearch)" ]; then
    for name in ELASTICSEARCH_PORT:9200 KIBANA_PORT:5601; do
        port=$(setting "${name%:*}" "${name#*:}")
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "up: port $port is taken by another program; choose one: ${name%:*} in .env" >&2
            exit 1
        fi
    done
fi

"${compose[@]}" build --quiet
if ! "${compose[@]}" up --wait --quiet-pull "$@"; then
    echo "up: not everything came up; what the init job says:" >&2
    "${compose[@]}" logs --no-log-prefix init | tail -20 >&2
    exit 1
fi
"${compose[@]}" logs --no-log-prefix init | tail -1
scheme=https
[ "$(setting KIBANA_TLS true)" = true ] || scheme=http
echo
echo "Kibana:         $scheme://$address:$(setting KIBANA_PORT 5601)   (user elastic; the password: make password)"
echo "Elasticsearch:  https://$address:$(setting ELASTICSEARCH_PORT 9200)"
echo "The certificates are signed by the stack's own authority: make ca shows its certificate, for your browser."
