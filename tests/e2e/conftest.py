"""One fixture per layer, each for the whole session: a test starts no more of the control plane than it names."""

import shutil
from collections.abc import Iterator

import pytest

from demo.sandbox import Ecr
from tests.e2e.binaries import Binaries
from tests.e2e.control_plane import ApiServer, Cluster
from tests.e2e.figures import Figures
from tests.e2e.loop import Loop
from tests.e2e.processes import Supervisor
from tests.e2e.rollouts import Rollouts


def pytest_configure(config: pytest.Config) -> None:
    """The API servers sign their own certificates; pytest would warn of each request."""
    config.addinivalue_line("filterwarnings", "ignore::urllib3.exceptions.InsecureRequestWarning")


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """What this run measures."""
    return Figures(request.config.rootpath / ".e2e")


@pytest.fixture(scope="session")
def supervisor(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Supervisor]:
    """Everything started in this session; stopped at its end, its logs kept in `.e2e/logs` when a test failed."""
    supervisor = Supervisor(tmp_path_factory.mktemp("control-plane"))
    try:
        yield supervisor
    finally:
        supervisor.stop()
        if request.session.testsfailed:
            kept = request.config.rootpath / ".e2e" / "logs"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(supervisor.logs, kept)
            print(f"\nThe logs of the control plane are in {kept}")


@pytest.fixture(scope="session")
def api(supervisor: Supervisor, figures: Figures) -> ApiServer:
    """etcd and kube-apiserver: what accepts and refuses objects (3 s)."""
    with figures.timed("start", "API server"):
        return ApiServer(supervisor, Binaries())


@pytest.fixture(scope="session")
def cluster(api: ApiServer, figures: Figures) -> Cluster:
    """The same with controllers, scheduler and nodes in three zones: what runs pods."""
    with figures.timed("start", "a cluster on it"):
        return Cluster(api)


@pytest.fixture(scope="session")
def rollouts(cluster: Cluster) -> Rollouts:
    """Argo Rollouts on that cluster."""
    return Rollouts(cluster)


@pytest.fixture(scope="session")
def production(supervisor: Supervisor, figures: Figures) -> Iterator[Loop]:
    """The loop, synced once: four clusters, Argo CD, a git server and ECR."""
    ecr = Ecr()
    with figures.timed("start", "four clusters, Argo CD and a git server"):
        loop = Loop(supervisor, ecr)
    try:
        with figures.timed("start", "after that, until every Application is synced and healthy"):
            loop.wait_settled()
        yield loop
        for name, process in supervisor.everything().items():
            if name.partition("/")[0] in loop.servers:
                figures.note("memory", name, process.memory())
    finally:
        loop.stop()
        ecr.stop()


@pytest.fixture
def loop(production: Loop) -> Loop:
    """The loop in the right state, whatever the test before has left."""
    production.mend()
    return production
