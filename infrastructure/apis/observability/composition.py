"""An Observability: the topic of alerts, the logs, four alarms, the way to PagerDuty, and a dashboard of it all.

Kubernetes names begin with the claim's name, those in AWS with `namePrefix`.
"""

import json
from typing import Any

import outside
from composite import Composite, Json, Resources

CONDITIONED = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com")
"""Who writes to the topic in the name of this account and no other."""

UNCONDITIONED = ("events.amazonaws.com", "backup.amazonaws.com")
"""Who writes to the topic, and whose messages AWS drops when the policy has conditions."""

OF_ALL = 'SELECT {}({}) FROM SCHEMA("AWS/ApplicationELB", LoadBalancer)'
"""A metric of all load balancers in the region, as CloudWatch is asked for it."""

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


class Observability(Composite):
    """Composed as: who hears of things, what is logged, what is an alarm, what is to be seen."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add everything."""
        add_key(resources)
        add_topic(resources)
        add_logs(resources)
        if "scaling" in resources.claim.spec:
            add_scaling(resources)
        add_node_alarms(resources)
        add_application_alarms(resources)
        if "pagerDuty" in resources.claim.spec:
            add_pagerduty(resources)
        add_dashboard(resources)


def add(resources: Resources, kind: str, suffix: str, parameters: Json, *, named: bool = False, **more: Any) -> str:
    """Add a resource in the claim's region. `named`: its name in AWS is `<namePrefix>-<suffix>`. Returns its key."""
    if named:
        more["external_name"] = aws_name(resources, suffix)
    in_region = {"region": resources.claim.spec["region"], **parameters}
    return resources.aws(kind, to(resources, suffix)["name"], in_region, **more)


def to(resources: Resources, suffix: str) -> dict[str, str]:
    """A reference to a resource of this claim."""
    return {"name": f"{resources.claim.name}-{suffix}"}


def aws_name(resources: Resources, suffix: str) -> str:
    """What a resource is called in AWS."""
    return f"{resources.claim.spec['namePrefix']}-{suffix}"


def arn(resources: Resources, service: str, rest: str) -> str:
    """The ARN of something in this region and account."""
    spec = resources.claim.spec
    return f"arn:aws:{service}:{spec['region']}:{spec['account']}:{rest}"


def document(*statements: Json) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def add_key(resources: Resources) -> None:
    """The key of topic and logs, which the services that write to them may use."""
    spec = resources.claim.spec
    logs = {"kms:EncryptionContext:aws:logs:arn": arn(resources, "logs", "log-group:*")}
    use = ["kms:GenerateDataKey*", "kms:Decrypt"]
    account = {"AWS": f"arn:aws:iam::{spec['account']}:root"}
    policy = document(
        {"Sid": "Account", "Effect": "Allow", "Principal": account, "Action": "kms:*", "Resource": "*"},
        {
            "Sid": "Topic",
            "Effect": "Allow",
            "Principal": {"Service": [*CONDITIONED, *UNCONDITIONED]},
            "Action": use,
            "Resource": "*",
        },
        {
            "Sid": "Logs",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{spec['region']}.amazonaws.com"},
            "Action": [*use, "kms:Encrypt", "kms:ReEncrypt*", "kms:DescribeKey"],
            "Resource": "*",
            "Condition": {"ArnLike": logs},
        },
    )
    key = {"description": "Alerts and logs.", "enableKeyRotation": True, "deletionWindowInDays": 30, "policy": policy}
    add(resources, "kms/Key", "alerts-key", key, stateful=True)
    alias = f"alias/{aws_name(resources, 'alerts')}"
    add(resources, "kms/Alias", "alerts-key", {"targetKeyIdRef": to(resources, "alerts-key")}, external_name=alias)


def topic(resources: Resources) -> str:
    """The ARN of the topic."""
    return arn(resources, "sns", aws_name(resources, "alerts"))


def add_topic(resources: Resources) -> None:
    """The encrypted topic, the services that may write to it, and those on call."""
    spec = resources.claim.spec
    add(resources, "sns/Topic", "alerts", {"kmsMasterKeyId": f"alias/{aws_name(resources, 'alerts')}"}, named=True)
    publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic(resources)}
    ours = {"StringEquals": {"aws:SourceAccount": spec["account"]}}
    policy = document(
        {"Sid": "Account", **publish, "Principal": {"Service": list(CONDITIONED)}, "Condition": ours},
        {"Sid": "Services", **publish, "Principal": {"Service": list(UNCONDITIONED)}},
    )
    add(resources, "sns/TopicPolicy", "alerts", {"arnRef": to(resources, "alerts"), "policy": policy})
    for name, address in ((each["name"], each["email"]) for each in spec["onCall"]):
        parameters = {"topicArnRef": to(resources, "alerts"), "protocol": "email", "endpoint": address}
        add(resources, "sns/TopicSubscription", f"alerts-{name}", parameters)


def add_logs(resources: Resources) -> None:
    """The log groups, and what is counted in them. AWS's services find their group by its name and take it as it is."""
    for group in resources.claim.spec["logGroups"]:
        parameters = {"retentionInDays": group["retentionDays"], "kmsKeyIdRef": to(resources, "alerts-key")}
        suffix = f"log-{group['name']}"
        add(resources, "cloudwatchlogs/Group", suffix, parameters, external_name=group["path"], stateful=True)
        for counted in group["counts"]:
            metric = {"name": counted["metric"], "namespace": namespace(resources), "value": "1", "defaultValue": "0"}
            filter = {
                "logGroupNameRef": to(resources, suffix),
                "pattern": counted["pattern"],
                "metricTransformation": metric,
            }
            name = f"log-{group['name']}-{counted['name']}"
            add(resources, "cloudwatchlogs/MetricFilter", name, filter, external_name=counted["name"])


def namespace(resources: Resources) -> str:
    """Where metrics of our own are."""
    return str(resources.claim.spec["namePrefix"])


def add_scaling(resources: Resources) -> None:
    """One node more, as a policy of the group behind a node group. EKS names the group: it is looked up."""
    spec = resources.claim.spec
    group = add(
        resources,
        "eks/NodeGroup",
        "scaled-nodes",
        {},
        external_name=f"{spec['clusterName']}:{spec['scaling']['nodeGroup']}",
    )
    resources.manifests[group]["spec"]["managementPolicies"] = ["Observe"]
    behind = resources.claim.seen(group, "resources", 0, "autoscalingGroups", 0, "name")
    parameters = {
        "autoscalingGroupName": behind,
        "policyType": "SimpleScaling",
        "adjustmentType": "ChangeInCapacity",
        "scalingAdjustment": 1,
        "cooldown": 300,
    }
    key = f"policy/{resources.claim.name}-high-cpu"
    resources.once(behind, key, lambda: add(resources, "autoscaling/Policy", "high-cpu", parameters, named=True))


def scaling_policies(resources: Resources) -> list[str]:
    """The ARN of the scaling policy, or what the alarm has of it while its status is away; empty before it is known."""
    if "scaling" not in resources.claim.spec:
        return []
    if known := resources.claim.seen(f"policy/{resources.claim.name}-high-cpu", "arn"):
        return [known]
    seen = resources.claim.observed.get(f"metricalarm/{resources.claim.name}-high-cpu") or {}
    actions = seen.get("spec", {}).get("forProvider", {}).get("alarmActions", [])
    return [action for action in actions if ":scalingPolicy:" in action]


def add_alarm(resources: Resources, suffix: str, threshold: float, parameters: Json, *more: str) -> None:
    """An alarm above a threshold, told of when it begins and when it ends. `more`: further actions."""
    add(
        resources,
        "cloudwatch/MetricAlarm",
        suffix,
        {
            "comparisonOperator": "GreaterThanThreshold",
            "threshold": threshold,
            "alarmActions": [topic(resources), *more],
            "okActions": [topic(resources)],
            **parameters,
        },
        named=True,
    )


def add_node_alarms(resources: Resources) -> None:
    """CPU and memory of the nodes, averages of five minutes, twice. That nodes say nothing is told of as well."""
    spec = resources.claim.spec
    of_nodes = {
        "namespace": "ContainerInsights",
        "dimensions": {"ClusterName": spec["clusterName"]},
        "statistic": "Average",
        "period": 300,
        "evaluationPeriods": 2,
        "treatMissingData": "missing",
        "insufficientDataActions": [topic(resources)],
    }
    cpu = {**of_nodes, "metricName": "node_cpu_utilization", "alarmDescription": "CPUUtilization of the nodes, %"}
    add_alarm(resources, "high-cpu", spec["alarms"]["cpuPercent"], cpu, *scaling_policies(resources))
    memory = {**of_nodes, "metricName": "node_memory_utilization", "alarmDescription": "MemoryUtilization of nodes, %"}
    add_alarm(resources, "high-memory", spec["alarms"]["memoryPercent"], memory)


def add_application_alarms(resources: Resources) -> None:
    """Failed requests in five minutes, and how long answers take. No requests at all are no failure."""
    limits = resources.claim.spec["alarms"]
    errors = {
        "metricQuery": failures(resources),
        "evaluationPeriods": 1,
        "treatMissingData": "notBreaching",
        "alarmDescription": "5XXError: answers of the application or its load balancer in five minutes",
    }
    add_alarm(resources, "app-errors", limits["errors"], errors)
    slow = {
        "metricQuery": [{**query(resources, "time", "TargetResponseTime", "Average"), "returnData": True}],
        "evaluationPeriods": 2,
        "treatMissingData": "notBreaching",
        "alarmDescription": f"TargetResponseTime above {limits['responseMilliseconds']} ms; AWS counts in seconds",
    }
    add_alarm(resources, "response-time", limits["responseMilliseconds"] / 1000, slow)


def failures(resources: Resources) -> list[Json]:
    """How many answers were 5XX, as a query whose result counts. An alarm may search only once."""
    target = query(resources, "target", "HTTPCode_Target_5XX_Count", "Sum")
    if "loadBalancer" not in resources.claim.spec:
        return [{**target, "label": "5XXError", "returnData": True}]
    both = {
        "id": "errors",
        "expression": "FILL(target, 0) + FILL(balancer, 0)",
        "label": "5XXError",
        "returnData": True,
    }
    return [target, query(resources, "balancer", "HTTPCode_ELB_5XX_Count", "Sum"), both]


def query(resources: Resources, id: str, metric: str, statistic: str) -> Json:
    """A metric of the claim's load balancer; of all in the region, as long as the claim does not know its own."""
    if balancer := resources.claim.spec.get("loadBalancer"):
        of_one = {
            "namespace": "AWS/ApplicationELB",
            "metricName": metric,
            "dimensions": {"LoadBalancer": balancer},
            "period": 300,
            "stat": statistic,
        }
        return {"id": id, "metric": of_one, "returnData": False}
    function = {"Sum": "SUM", "Average": "AVG"}[statistic]
    return {"id": id, "expression": OF_ALL.format(function, metric), "period": 300, "returnData": False}


def add_pagerduty(resources: Resources) -> None:
    """From the alarm of failed requests to PagerDuty: opened when it begins, resolved when it ends.

    A subscription of the topic would need the integration's key in its URL. EventBridge adds it from a Secret instead,
    which a person has put into Parameter Store.
    """
    name, store = resources.claim.spec["pagerDuty"]["secret"], to(resources, "pagerduty")["name"]
    outside.add_store(resources, store)
    parameter = outside.platform_parameter(resources, "pagerduty-routing-key")
    outside.add_pulled(resources, name, store, {"key": parameter}, {"routing-key": "{{ .key }}"})
    secret = {"name": name, "key": "routing-key"}
    body = [{"key": "routing_key", "isValueSecret": True, "valueSecretRef": secret}]
    parameters = {
        "authorizationType": "API_KEY",
        "authParameters": {
            "apiKey": {"key": "X-Routing-Key", "valueSecretRef": secret},
            "invocationHttpParameters": {"body": body},
        },
    }
    add(resources, "cloudwatchevents/Connection", "pagerduty", parameters, named=True)
    endpoint = {
        "connectionArnRef": to(resources, "pagerduty"),
        "httpMethod": "POST",
        "invocationEndpoint": PAGERDUTY,
        "invocationRateLimitPerSecond": 5,
    }
    destination = add(resources, "cloudwatchevents/APIDestination", "pagerduty", endpoint, named=True)
    add_pagerduty_role(resources)
    known = resources.claim.seen(destination, "arn")
    for state, action in (("ALARM", "trigger"), ("OK", "resolve")):
        add_pagerduty_event(resources, known, state, action)


def add_pagerduty_role(resources: Resources) -> None:
    """The role in which EventBridge calls PagerDuty and nothing else."""
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ours = {"StringEquals": {"aws:SourceAccount": resources.claim.spec["account"]}}
    destination = arn(resources, "events", f"api-destination/{aws_name(resources, 'pagerduty')}/*")
    allowed = {"Effect": "Allow", "Action": "events:InvokeApiDestination", "Resource": destination}
    role = to(resources, "pagerduty-role")
    parameters = {"assumeRolePolicy": document({**trust, "Condition": ours})}
    resources.aws("iam/Role", role["name"], parameters, external_name=aws_name(resources, "pagerduty-role"))
    resources.aws("iam/RolePolicy", role["name"], {"roleRef": role, "policy": document(allowed)})


def add_pagerduty_event(resources: Resources, destination: str | None, state: str, action: str) -> None:
    """What PagerDuty is sent when the alarm changes to a state, as soon as it is known where to."""
    alarm, suffix = aws_name(resources, "app-errors"), f"pagerduty-{action}"
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [alarm], "state": {"value": [state]}},
    }
    add(resources, "cloudwatchevents/Rule", suffix, {"eventPattern": json.dumps(pattern)}, named=True)
    payload = {"summary": "<alarm>: <reason>", "source": "<region>", "severity": "critical"}
    template = {"event_action": action, "dedup_key": alarm, "payload": payload}
    parameters = {
        "ruleRef": to(resources, suffix),
        "arn": destination,
        "roleArnRef": to(resources, "pagerduty-role"),
        "inputTransformer": {
            "inputPaths": {"alarm": "$.detail.alarmName", "reason": "$.detail.state.reason", "region": "$.region"},
            "inputTemplate": json.dumps(template),
        },
    }
    key = f"target/{to(resources, suffix)['name']}"
    resources.once(destination, key, lambda: add(resources, "cloudwatchevents/Target", suffix, parameters))


def add_dashboard(resources: Resources) -> None:
    """The state of the alarms, then one chart for each metric of our own: the application's, and what logs count."""
    spec = resources.claim.spec
    counted = [each["metric"] for group in spec["logGroups"] for each in group["counts"]]
    suffixes = ("high-cpu", "high-memory", "app-errors", "response-time")
    alarms = [arn(resources, "cloudwatch", f"alarm:{aws_name(resources, suffix)}") for suffix in suffixes]
    widgets: list[Json] = [
        {"type": "alarm", "x": 0, "y": 0, "width": 24, "height": 3, "properties": {"title": "Alarms", "alarms": alarms}}
    ]
    for number, metric in enumerate([*spec["customMetrics"], *counted]):
        row, column = divmod(number, 2)
        properties = {
            "title": metric,
            "region": spec["region"],
            "metrics": [[namespace(resources), metric]],
            "stat": "Sum" if metric in counted else "Average",
            "period": 60,
        }
        place = {"x": 12 * column, "y": 3 + 6 * row, "width": 12, "height": 6}
        widgets.append({"type": "metric", **place, "properties": properties})
    add(resources, "cloudwatch/Dashboard", "overview", {"dashboardBody": json.dumps({"widgets": widgets})}, named=True)
