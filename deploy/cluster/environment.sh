# Settings of head and workers; `source` it on the head, after editing. Passwords come from elsewhere.
export DAGSTER_HOME=/srv/steer/dagster_home     # holds dagster.yaml of this folder; on the head's own disk
export STEER_DATA_DIR=/shared/steer/data        # a POSIX disk that head and workers share
export STEER_DEPOT=                             # s3://bucket/folder: then STEER_DATA_DIR is each host's own disk
export STEER_CATALOG_DIR=                       # the user's catalog; empty: the folder catalog of STEER_DATA_DIR
export STEER_STUDY=standard
export STEER_WAREHOUSE=$(hostname)              # DuckDB is loaded on the head only
export STEER_THUMBNAILS=files                   # plots of the UI as files instead of inside events
export STEER_REPORTS_URL=http://127.0.0.1:3001  # where browsers reach `steer serve`
export STEER_AUTOMATION_S=60                    # seconds between two evaluations of what is missing
export STEER_SUMMARY_CRON='*/10 * * * *'        # the summary is made at these times at most
export STEER_GPU_GIB=80                         # memory of one GPU of the workers; 0: models run on processors
export STEER_RUN_CPUS=8                         # cores of a run that holds a model
export STEER_ENGINES=                           # ray:8 for eight actors to every run; empty: the run computes itself
export STEER_ENGINE_CPUS=1 STEER_ENGINE_GPUS=0  # threads and GPUs of each

export STEER_PG_HOST=head STEER_PG_PORT=6432    # pgbouncer
export STEER_PG_USER=dagster STEER_PG_DATABASE=dagster
export STEER_PG_PASSWORD=${STEER_PG_PASSWORD:?}
export STEER_S3_ENDPOINT=https://s3.example.org STEER_LOGS_BUCKET=steer
export AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID:?} AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY:?}
export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-us-east-1}
export AWS_ENDPOINT_URL=$STEER_S3_ENDPOINT      # of the depot
export STEER_MLFLOW_URL=                        # where browsers reach MLflow, for links in Dagster's pages
export MLFLOW_TRACKING_URI=${MLFLOW_TRACKING_URI:-off}  # a server; SQLite does not work on a shared disk
export HF_HUB_OFFLINE=1

# Without a token anyone who reaches Ray's ports can run code on every host.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/shared/steer/ray.token  # mode 0600
export RAY_HEAD=${RAY_HEAD:-head} RAY_PORT=${RAY_PORT:-6379}
export STEER_RAY_ADDRESS=http://$RAY_HEAD:8265
export RAY_USAGE_STATS_ENABLED=0
