"""CostControl: a monthly budget that speaks up in steps, and AWS's search for costs unlike those before.

Both are the account's, not an environment's, and both write to the topic of alerts.
"""

import json
from typing import Any

from composite import Composite, Json, Resources

BILLING = "us-east-1"
"""Where AWS keeps what belongs to bills, whichever regions they are for."""


class CostControl(Composite):
    """Composed as: what may be spent, what is unusual."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add the budget, the monitor, and who hears of what it finds."""
        add_budget(resources)
        add_anomalies(resources)


def topic(resources: Resources) -> str:
    """The ARN of the topic of alerts."""
    spec = resources.claim.spec
    return f"arn:aws:sns:{spec['topic']['region']}:{spec['account']}:{spec['topic']['name']}"


def add_budget(resources: Resources) -> None:
    """The budget of all services in all regions: what is spent at each threshold, and what will be at its end."""
    spec = resources.claim.spec
    spent = [notification(resources, "ACTUAL", percent) for percent in spec["alertPercents"]]
    resources.aws(
        "budgets/Budget",
        f"{resources.claim.name}-monthly",
        {
            "accountId": spec["account"],
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": str(spec["monthlyBudgetUsd"]),
            "limitUnit": "USD",
            "notification": [*spent, notification(resources, "FORECASTED", spec["forecastPercent"])],
        },
    )


def notification(resources: Resources, of: str, percent: int) -> Json:
    """A message as soon as costs exceed a share of the budget. `of`: ACTUAL or FORECASTED costs."""
    return {
        "notificationType": of,
        "comparisonOperator": "GREATER_THAN",
        "threshold": percent,
        "thresholdType": "PERCENTAGE",
        "subscriberSnsTopicArns": [topic(resources)],
    }


def add_anomalies(resources: Resources) -> None:
    """A monitor of every AWS service's costs; then, once it has an ARN, the subscription to it.

    provider-aws has no kind for the subscription: Cloud Control makes it from AWS's own description of one.
    """
    spec, name = resources.claim.spec["anomalies"], f"{resources.claim.name}-anomalies"
    monitor = resources.aws(
        "ce/AnomalyMonitor",
        name,
        {"name": name, "monitorType": "DIMENSIONAL", "monitorDimension": "SERVICE"},
        external_name=spec.get("monitorArn", ""),
    )
    arn = resources.claim.seen(monitor, "arn")
    resources.once(arn, f"resource/{name}", lambda: add_subscription(resources, name, arn))


def add_subscription(resources: Resources, name: str, monitor: str) -> None:
    """Every anomaly that costs as much as the claim says, at once."""
    at_least = {
        "Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
        "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
        "Values": [str(resources.claim.spec["anomalies"]["atLeastUsd"])],
    }
    wanted: dict[str, Any] = {
        "SubscriptionName": name,
        "MonitorArnList": [monitor],
        # Topics are only written to at once; summaries are for mail.
        "Frequency": "IMMEDIATE",
        "Subscribers": [{"Type": "SNS", "Address": topic(resources)}],
        "ThresholdExpression": json.dumps({"Dimensions": at_least}),
    }
    parameters = {"region": BILLING, "typeName": "AWS::CE::AnomalySubscription", "desiredState": json.dumps(wanted)}
    resources.aws("cloudcontrol/Resource", name, parameters)
