#!/usr/bin/env bash
# Dagster's daemon and pages on the head, until interrupted; it ends what it started and nothing else.
set -euo pipefail
: "${DAGSTER_HOME:?source environment.sh first}" "${STEER_RAY_ADDRESS:?}"
children=()
trap 'kill "${children[@]}" 2>/dev/null; wait' EXIT
dagster-daemon run -m steer_assets.definitions &
children+=($!)
# On loopback: the pages have no login (see "Security" in the guide).
dagster-webserver -m steer_assets.definitions --host 127.0.0.1 --port "${DAGSTER_PORT:-3000}" &
children+=($!)
wait -n
