#!/usr/bin/env bash
# Ray's head on bare metal, until interrupted; dagster.sh runs beside it. Use a supervisor for both.
set -euo pipefail
: "${RAY_AUTH_TOKEN_PATH:?source environment.sh first}" "${RAY_HEAD:?}" "${RAY_PORT:?}"
# An address of the private network: Ray replaces 127.0.0.1 by the outer one.
command -v dagster >/dev/null || { echo "put the bin folder of the virtual environment in PATH: jobs are dagster commands" >&2; exit 1; }
exec ray start --head --block --disable-usage-stats --node-ip-address="$RAY_HEAD" --port="$RAY_PORT" \
    --dashboard-host="$RAY_HEAD" --dashboard-port=8265 --num-gpus=0 ${RAY_HEAD_OPTIONS:-}
