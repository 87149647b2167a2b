#!/usr/bin/env bash
# A worker on bare metal, until interrupted. Same paths, same virtual environment as on the head.
set -euo pipefail
: "${RAY_AUTH_TOKEN_PATH:?source environment.sh first}" "${RAY_HEAD:?}" "${RAY_PORT:?}"
command -v dagster >/dev/null || { echo "put the bin folder of the virtual environment in PATH: jobs are dagster commands" >&2; exit 1; }
exec ray start --block --disable-usage-stats --address="$RAY_HEAD:$RAY_PORT" ${RAY_WORKER_OPTIONS:-}
