"""One BLAS thread: for small matrices thread barriers cost more than they save."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def _single_blas_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield
