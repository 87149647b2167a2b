"""Dagster's storage in Postgres, with connections that stay open and fewer statements.

Dagster opens a connection for every statement, which takes longer than the statement does, since
passwords are checked as scram-sha-256; and it asks again and again which tables and columns there
are, in a third of all statements. Here a process keeps a few connections to pgbouncer, which share
those of Postgres transaction by transaction, and asks once.
"""

from __future__ import annotations

from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
)

#: Connections that stay open in each process; more are opened, and closed again, when threads ask.
_KEPT = 4


class _Events(PostgresEventLogStorage):  # type: ignore[misc]
    """Events; what tables there are changes with `dagster instance migrate` alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._there: dict[tuple[str, str], bool] = {}
        super().__init__(*args, **kwargs)

    def has_table(self, table_name: str) -> bool:
        if (table_name, "") not in self._there:
            self._there[table_name, ""] = super().has_table(table_name)
        return self._there[table_name, ""]

    def has_asset_key_col(self, column_name: str) -> bool:
        if ("asset_keys", column_name) not in self._there:
            self._there["asset_keys", column_name] = super().has_asset_key_col(column_name)
        return self._there["asset_keys", column_name]

    def dispose(self) -> None:
        """Close all connections; an instance disposes of its events last."""
        super().dispose()
        self._engine.dispose()


class PooledPostgres(DagsterPostgresStorage):  # type: ignore[misc]
    """Runs, events and schedules over one pool of connections."""

    def __init__(self, url: str, *, token_provider: Any = None, **kwargs: Any) -> None:
        super().__init__(url, token_provider=token_provider, **kwargs)
        self._event_log_storage = _Events(
            url, should_autocreate_tables=False, token_provider=token_provider
        )
        engine = create_pg_engine(
            url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT,
            max_overflow=-1,
            pool_pre_ping=True,  # a restart of pgbouncer closes what was open
        )
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine

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
