"""What the API server checks between the fields of one object, after each field is right by itself.

Each function names the Go function it follows, in k8s.io/kubernetes v1.36.3 `pkg/apis/*/validation`. All expect an
object that its schema (with `kubernetes.CONSTRAINTS`) accepts: types are right, required fields are there; others may
be null.
"""

from collections.abc import Callable, Iterable

from koepon_gitops.coherence import administration, network, pods, workloads
from koepon_gitops.model import Json, Problem

type Check = Callable[[Json], Iterable[Problem]]


def check_of(definition: str) -> Check | None:
    """The check of a definition such as `io.k8s.api.apps.v1.Deployment`; None when its fields are independent."""
    return _CHECKS.get(definition)


_CHECKS: dict[str, Check] = {
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy": administration.admission_policy,
    "io.k8s.api.apps.v1.DaemonSet": workloads.workload,
    "io.k8s.api.apps.v1.Deployment": workloads.deployment,
    "io.k8s.api.apps.v1.ReplicaSet": workloads.workload,
    "io.k8s.api.apps.v1.StatefulSet": workloads.workload,
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler": workloads.autoscaler,
    "io.k8s.api.batch.v1.CronJob": workloads.cron_job,
    "io.k8s.api.batch.v1.Job": workloads.job,
    "io.k8s.api.core.v1.ConfigMap": administration.config_map,
    "io.k8s.api.core.v1.Pod": pods.pod_object,
    "io.k8s.api.core.v1.Secret": administration.secret,
    "io.k8s.api.core.v1.Service": network.service,
    "io.k8s.api.networking.v1.Ingress": network.ingress,
    "io.k8s.api.networking.v1.NetworkPolicy": network.network_policy,
}
