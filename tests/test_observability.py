"""Alerts, logs, alarms and dashboard as claimed: the document's figures, what waits, claims without sense."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import estate
from tests.estate import parameters

ENVIRONMENTS = ("staging", "production", "dr")
PREFIXES = {"staging": "koepon-staging", "production": "koepon", "dr": "koepon-dr"}
REGIONS = {"staging": "ap-northeast-1", "production": "ap-northeast-1", "dr": "ap-southeast-1"}
ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:ap-northeast-1:{ACCOUNT}:koepon-alerts"
SCALING = f"arn:aws:autoscaling:ap-northeast-1:{ACCOUNT}:scalingPolicy:1b9d:autoScalingGroupName/eks-x:policyName/y"
DESTINATION = f"arn:aws:events:ap-northeast-1:{ACCOUNT}:api-destination/koepon-pagerduty/1b9d5c0e"
BALANCER = "app/koepon-production/50dc6c495c0c9188"

type Made = dict[str, dict[str, Any]]

STATUS: dict[str, dict[str, Any]] = {
    "nodegroup/koepon-scaled-nodes": {"resources": [{"autoscalingGroups": [{"name": "eks-koepon-app-nodes-5f1f"}]}]},
    "policy/koepon-high-cpu": {"arn": SCALING},
    "apidestination/koepon-pagerduty": {"arn": DESTINATION},
}


def claim(environment: str = "production", **spec: Any) -> dict[str, Any]:
    found = copy.deepcopy(estate.claim("Observability", environment))
    found["spec"] |= spec
    return found


def observed(made: Made, status: dict[str, dict[str, Any]] = STATUS) -> Made:
    return estate.observed(made, status)


def settled(content: dict[str, Any]) -> Made:
    return estate.settled(content, STATUS)


def alarm(made: Made, name: str) -> dict[str, Any]:
    return parameters(made, f"metricalarm/{name}")


def aws_names(made: Made, kind: str) -> set[str]:
    return {
        each["metadata"]["annotations"]["crossplane.io/external-name"] for each in made.values() if each["kind"] == kind
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_aws_takes_every_resource_of_a_claim(environment: str) -> None:
    content = claim(environment)
    assert estate.problems(content) == []
    made = settled(content)
    for each in made.values():
        assert estate.problems({**each, "metadata": {**each["metadata"], "namespace": environment}}) == []
    identities = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in made.values()]
    assert len(set(identities)) == len(identities)
    assert aws_names(made, "MetricAlarm") == {
        f"{PREFIXES[environment]}-{name}" for name in ("high-cpu", "high-memory", "app-errors", "response-time")
    }


def above(name: str, threshold: float) -> Callable[[Made], bool]:
    return lambda made: (
        (alarm(made, name)["comparisonOperator"], alarm(made, name)["threshold"]) == ("GreaterThanThreshold", threshold)
    )


DOCUMENT: dict[str, Callable[[Made], bool]] = {
    "koepon-high-cpu Threshold: 80": above("koepon-high-cpu", 80),
    "koepon-high-cpu MetricName: CPUUtilization": lambda made: (
        alarm(made, "koepon-high-cpu")["metricName"] == "node_cpu_utilization"
    ),
    "koepon-high-cpu Actions: [SNS notification, Auto Scaling trigger]": lambda made: (
        alarm(made, "koepon-high-cpu")["alarmActions"] == [TOPIC, SCALING]
    ),
    "koepon-high-memory Threshold: 85": above("koepon-high-memory", 85),
    "koepon-high-memory MetricName: MemoryUtilization": lambda made: (
        alarm(made, "koepon-high-memory")["metricName"] == "node_memory_utilization"
    ),
    "koepon-high-memory Actions: [SNS notification]": lambda made: (
        alarm(made, "koepon-high-memory")["alarmActions"] == [TOPIC]
    ),
    "koepon-app-errors Threshold: 10": above("koepon-app-errors", 10),
    "koepon-app-errors Actions: [SNS notification, ...]": lambda made: (
        alarm(made, "koepon-app-errors")["alarmActions"] == [TOPIC]
    ),
    "koepon-response-time Threshold: 3000, in the seconds of the metric": above("koepon-response-time", 3.0),
    "koepon-response-time Actions: [SNS notification]": lambda made: (
        alarm(made, "koepon-response-time")["alarmActions"] == [TOPIC]
    ),
    "Log Groups": lambda made: (
        aws_names(made, "Group")
        == {
            "/aws/eks/koepon-production/cluster",
            "/aws/rds/instance/koepon-db/postgresql",
            "/koepon/application",
            "/koepon/security",
        }
    ),
    "Custom Metrics": lambda made: (
        {
            "koepon.gacha.draws_per_minute",
            "koepon.medals.purchases_per_minute",
            "koepon.users.active_sessions",
            "koepon.api.response_time_p95",
        }
        <= set(charts(made))
    ),
}


def charts(made: Made) -> list[str]:
    """The metrics on the dashboard."""
    widgets = json.loads(parameters(made, "dashboard/koepon-overview")["dashboardBody"])["widgets"]
    return [metric for each in widgets for _, metric in each["properties"].get("metrics", [])]


@pytest.mark.parametrize("holds", DOCUMENT.values(), ids=list(DOCUMENT))
def test_the_document_to_the_letter(holds: Callable[[Made], bool]) -> None:
    assert holds(settled(claim()))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_goes_away_while_a_status_is_away(environment: str) -> None:
    made = settled(claim(environment))
    assert estate.resources(claim(environment), observed(made)) == made
    assert estate.resources(claim(environment), observed(made, {})) == made


def test_what_waits_for_the_node_group_and_for_pagerduty() -> None:
    first = estate.resources(claim())
    assert alarm(first, "koepon-high-cpu")["alarmActions"] == [TOPIC]
    assert set(settled(claim())) - set(first) == {
        "policy/koepon-high-cpu",
        "target/koepon-pagerduty-trigger",
        "target/koepon-pagerduty-resolve",
    }


def test_high_cpu_adds_one_node_to_the_group_that_eks_named() -> None:
    made = settled(claim())
    group = made["nodegroup/koepon-scaled-nodes"]
    assert group["spec"]["managementPolicies"] == ["Observe"]
    assert group["metadata"]["annotations"]["crossplane.io/external-name"] == "koepon-production:koepon-app-nodes"
    policy = parameters(made, "policy/koepon-high-cpu")
    assert policy["autoscalingGroupName"] == "eks-koepon-app-nodes-5f1f"
    assert (policy["adjustmentType"], policy["scalingAdjustment"]) == ("ChangeInCapacity", 1)


def test_pagerduty_hears_of_failed_requests_and_no_key_is_in_git() -> None:
    made = settled(claim())
    for action, state in (("trigger", "ALARM"), ("resolve", "OK")):
        pattern = json.loads(parameters(made, f"rule/koepon-pagerduty-{action}")["eventPattern"])
        assert pattern["detail"] == {"alarmName": ["koepon-app-errors"], "state": {"value": [state]}}
        target = parameters(made, f"target/koepon-pagerduty-{action}")
        assert target["arn"] == DESTINATION
        sent = json.loads(target["inputTransformer"]["inputTemplate"])
        assert (sent["event_action"], sent["dedup_key"]) == (action, "koepon-app-errors")
    secret = {"name": "koepon-pagerduty", "key": "routing-key"}
    connection = parameters(made, "connection/koepon-pagerduty")["authParameters"]
    assert connection["invocationHttpParameters"]["body"] == [
        {"key": "routing_key", "isValueSecret": True, "valueSecretRef": secret}
    ]
    assert connection["apiKey"]["valueSecretRef"] == secret
    pulled = made["externalsecret/koepon-pagerduty"]["spec"]
    [value] = pulled["data"]
    assert value["remoteRef"] == {"key": "/koepon-platform/production/pagerduty-routing-key"}
    assert pulled["target"]["name"] == secret["name"]
    assert list(pulled["target"]["template"]["data"]) == [secret["key"]]
    assert pulled["secretStoreRef"]["name"] == made["secretstore/koepon-pagerduty"]["metadata"]["name"]
    [allowed] = json.loads(parameters(made, "rolepolicy/koepon-pagerduty-role")["policy"])["Statement"]
    assert allowed["Action"] == "events:InvokeApiDestination"
    assert DESTINATION.startswith(allowed["Resource"].removesuffix("*"))


def test_without_a_load_balancer_in_the_claim_all_of_the_region_are_watched() -> None:
    made = settled(claim())
    for name, metric in (
        ("koepon-app-errors", "SUM(HTTPCode_Target_5XX_Count)"),
        ("koepon-response-time", "AVG(TargetResponseTime)"),
    ):
        [query] = alarm(made, name)["metricQuery"]
        assert query["expression"] == f'SELECT {metric} FROM SCHEMA("AWS/ApplicationELB", LoadBalancer)'
        assert query["returnData"] is True


def test_with_a_load_balancer_it_alone_is_watched_with_its_own_errors() -> None:
    content = claim(loadBalancer=BALANCER)
    assert estate.problems(content) == []
    made = settled(content)
    target, balancer, errors = alarm(made, "koepon-app-errors")["metricQuery"]
    assert [each["metric"]["metricName"] for each in (target, balancer)] == [
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
    ]
    assert [each["returnData"] for each in (target, balancer, errors)] == [False, False, True]
    assert errors["expression"] == "FILL(target, 0) + FILL(balancer, 0)"
    [time] = alarm(made, "koepon-response-time")["metricQuery"]
    assert (time["metric"]["stat"], time["returnData"]) == ("Average", True)
    for each in (target, balancer, time):
        assert each["metric"]["dimensions"] == {"LoadBalancer": BALANCER}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_silence_of_the_nodes_is_told_of_and_silence_of_users_is_none(environment: str) -> None:
    made = settled(claim(environment))
    topic = f"arn:aws:sns:{REGIONS[environment]}:{ACCOUNT}:{PREFIXES[environment]}-alerts"
    for name in ("high-cpu", "high-memory"):
        nodes = alarm(made, f"koepon-{name}")
        assert (nodes["treatMissingData"], nodes["insufficientDataActions"]) == ("missing", [topic])
        assert nodes["dimensions"] == {"ClusterName": estate.claim("Cluster", environment)["spec"]["clusterName"]}
    for name in ("app-errors", "response-time"):
        assert alarm(made, f"koepon-{name}")["treatMissingData"] == "notBreaching"
    assert all(alarm(made, f"koepon-{name}")["okActions"] == [topic] for name in ("high-cpu", "app-errors"))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_who_may_write_to_the_topic(environment: str) -> None:
    made = settled(claim(environment))
    ours, services = json.loads(parameters(made, "topicpolicy/koepon-alerts")["policy"])["Statement"]
    assert set(ours["Principal"]["Service"]) == {
        "cloudwatch.amazonaws.com",
        "budgets.amazonaws.com",
        "costalerts.amazonaws.com",
    }
    assert ours["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert set(services["Principal"]["Service"]) == {"events.amazonaws.com", "backup.amazonaws.com"}
    assert {ours["Action"], services["Action"]} == {"sns:Publish"}
    _, topic, _ = json.loads(parameters(made, "key/koepon-alerts-key")["policy"])["Statement"]
    writers = {*ours["Principal"]["Service"], *services["Principal"]["Service"]}
    assert set(topic["Principal"]["Service"]) == writers
    alias = made["alias/koepon-alerts-key"]["metadata"]["annotations"]["crossplane.io/external-name"]
    assert parameters(made, "topic/koepon-alerts")["kmsMasterKeyId"] == alias


def test_budget_and_backups_write_to_the_topic_that_there_is() -> None:
    cost = estate.claim("CostControl", "production")["spec"]["topic"]
    assert cost == {"region": "ap-northeast-1", "name": "koepon-alerts"}
    for environment in ENVIRONMENTS:
        named = estate.claim("Backup", environment)["spec"]["topic"]
        assert aws_names(settled(claim(environment)), "Topic") == {named}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_logs_are_encrypted_end_some_day_and_outlive_the_claim(environment: str) -> None:
    made = settled(claim(environment))
    groups = {key: each for key, each in made.items() if each["kind"] == "Group"}
    assert len(groups) == {"staging": 3}.get(environment, 4)
    for key, each in groups.items():
        assert each["spec"]["forProvider"]["kmsKeyIdRef"] == {"name": "koepon-alerts-key"}
        assert each["spec"]["forProvider"]["retentionInDays"] >= 14
        assert "Delete" not in each["spec"]["managementPolicies"]
        assert f"usage/{key}" in made


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_errors_and_security_events_are_counted_and_shown(environment: str) -> None:
    made = settled(claim(environment))
    counted = {
        each["logGroupNameRef"]["name"]: each["metricTransformation"]
        for each in (parameters(made, key) for key in made if key.startswith("metricfilter/"))
    }
    assert {name: (each["name"], each["namespace"]) for name, each in counted.items()} == {
        "koepon-log-application": ("koepon.log.errors", PREFIXES[environment]),
        "koepon-log-security": ("koepon.log.security_events", PREFIXES[environment]),
    }
    assert {"koepon.log.errors", "koepon.log.security_events"} <= set(charts(made))


def test_those_on_call_are_written_to() -> None:
    subscription = parameters(settled(claim()), "topicsubscription/koepon-alerts-on-call")
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "on-call@koepon.com")
    assert subscription["topicArnRef"] == {"name": "koepon-alerts"}


NONSENSE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "nobody on call": (lambda spec: spec.update(onCall=[]), "onCall"),
    "no address": (lambda spec: spec["onCall"][0].update(email="on-call"), "email"),
    "more than all CPU": (lambda spec: spec["alarms"].update(cpuPercent=100), "cpuPercent"),
    "no time to answer": (lambda spec: spec["alarms"].update(responseMilliseconds=0), "responseMilliseconds"),
    "seconds": (lambda spec: spec["alarms"].update(responseMilliseconds=0.5), "responseMilliseconds"),
    "a key instead of its Secret": (lambda spec: spec["pagerDuty"].update(secret="R0UT1NGKEY"), "secret"),
    "a retention that AWS does not know": (lambda spec: spec["logGroups"][0].update(retentionDays=100), "retention"),
    "a group without a path": (lambda spec: spec["logGroups"][0].pop("path"), "path"),
    "a group twice": (lambda spec: spec["logGroups"].append(spec["logGroups"][0]), "logGroups"),
    "an ARN instead of its end": (lambda spec: spec.update(loadBalancer="arn:aws:x"), "loadBalancer"),
    "an unknown field": (lambda spec: spec.update(slack=True), "slack"),
}


@pytest.mark.parametrize(("spoil", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    estate.assert_refused(claim(), spoil, said)
