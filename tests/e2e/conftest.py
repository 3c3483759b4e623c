"""One fixture per layer, each for the whole session: a test starts no more of the control plane than it names."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.binaries import Binaries
from tests.e2e.control_plane import ApiServer, Cluster
from tests.e2e.processes import Supervisor


@pytest.fixture(scope="session")
def supervisor(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Supervisor]:
    """Everything started in this session; stopped at its end, its logs kept when a test failed."""
    supervisor = Supervisor(tmp_path_factory.mktemp("control-plane"))
    try:
        yield supervisor
    finally:
        supervisor.stop()
        if request.session.testsfailed:
            kept = Path(".e2e-logs")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(supervisor.directory / "logs", kept)
            print(f"\nLogs of the control plane are kept in {kept}/")


@pytest.fixture(scope="session")
def api(supervisor: Supervisor) -> ApiServer:
    """etcd and kube-apiserver: what accepts and refuses objects (3 s)."""
    return ApiServer(supervisor, Binaries())


@pytest.fixture(scope="session")
def cluster(api: ApiServer) -> Cluster:
    """The same with controllers, scheduler and nodes in three zones: what runs pods."""
    return Cluster(api)
