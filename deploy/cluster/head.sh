#!/usr/bin/env bash
# The head on bare metal: Ray's head, Dagster's daemon and its pages, until interrupted.
# Run it under a supervisor; it ends what it started and nothing else.
set -euo pipefail
: "${DAGSTER_HOME:?source environment.sh first}" "${RAY_AUTH_TOKEN_PATH:?}" "${RAY_HEAD:?}" "${RAY_PORT:?}"
PORT=${DAGSTER_PORT:-3000}
HERE=${RAY_ADDRESS_HERE:-$RAY_HEAD}  # an address of the private network, not 127.0.0.1, which Ray replaces
children=()
trap 'kill "${children[@]}" 2>/dev/null; wait' EXIT

ray start --head --block --disable-usage-stats --node-ip-address="$HERE" --port="$RAY_PORT" \
    --dashboard-host="$HERE" --num-gpus=0 ${RAY_HEAD_OPTIONS:-} &
children+=($!)
dagster-daemon run -m steer_assets.definitions &
children+=($!)
# On loopback: the pages have no login (see "Security" in the guide).
dagster-webserver -m steer_assets.definitions --host 127.0.0.1 --port "$PORT" &
children+=($!)
wait -n
