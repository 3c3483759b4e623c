"""Argo Rollouts on one cluster: its kinds and its controller."""

import yaml

from tests.e2e.binaries import module_directory
from tests.e2e.control_plane import Cluster
from tests.e2e.processes import free_port, wait_for


class Rollouts:
    """Rollouts, AnalysisTemplates and the controller that runs them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        api = cluster.api
        crds = module_directory("rollouts", "github.com/argoproj/argo-rollouts") / "manifests" / "crds"
        files = sorted(file for file in crds.glob("*.yaml") if file.name != "kustomization.yaml")
        api.install([yaml.safe_load(file.read_text()) for file in files])
        self.controller = api.supervisor.start(
            "rollouts-controller",
            [
                str(api.binaries.rollouts_controller),
                *("--kubeconfig", str(api.kubeconfig)),
                *("--metricsPort", str(free_port()), "--healthzPort", str(free_port())),
                "--leader-elect=false",
            ],
        )

    def wait(self, namespace: str, name: str, phase: str, seconds: float = 60) -> None:
        """Until the controller gives the Rollout, as it is written now, this phase."""

        def reached() -> bool:
            found = self.cluster.client.get("argoproj.io/v1alpha1", "Rollout", name, namespace)
            status = found.get("status", {})
            seen = status.get("observedGeneration") == str(found["metadata"]["generation"])
            return seen and status.get("phase") == phase

        wait_for(f"Rollout {name} {phase}", lambda: self.controller.alive() and reached(), seconds)
