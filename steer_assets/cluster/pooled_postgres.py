"""Dagster's storage in Postgres, with connections that stay open and fewer statements.

Dagster opens a connection for every statement, which takes longer than the statement does, since
passwords are checked as scram-sha-256; and it asks again and again which tables and columns there
are, in a third of all statements. Here a process keeps a few connections to pgbouncer, which share
those of Postgres transaction by transaction, and asks once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
)

#: Connections that stay open in each process; more are opened, and closed again, when threads ask.
_KEPT = 4


class PooledPostgres(DagsterPostgresStorage):  # type: ignore[misc]
    """Runs, events and schedules over one pool of connections."""

    def __init__(self, *args: Any, token_provider: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, token_provider=token_provider, **kwargs)
        engine = create_pg_engine(
            self.postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT,
            max_overflow=-1,
            pool_pre_ping=True,  # a restart of pgbouncer closes what was open
        )
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine
        # Tables and columns change with `dagster instance migrate` alone, after which all restart.
        for asked in ("has_table", "has_asset_key_col"):
            setattr(self._event_log_storage, asked, cache(getattr(self._event_log_storage, asked)))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> PooledPostgres:
        """From the settings of Dagster's own storage, which makes that class by name."""
        return cls(
            pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )
