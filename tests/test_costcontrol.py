"""The account's budget and the search for anomalies: the document's figures, what waits, claims without sense."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests import estate
from tests.estate import parameters

TOPIC = "arn:aws:sns:ap-northeast-1:123456789012:koepon-alerts"
ARN = "arn:aws:ce::123456789012:anomalymonitor/5f1f4f4b-2a11-4000-8000-1b9d5c0e0000"
BUDGET, MONITOR, SUBSCRIPTION = (
    "budget/koepon-monthly",
    "anomalymonitor/koepon-anomalies",
    "resource/koepon-anomalies",
)

type Made = dict[str, dict[str, Any]]


def claim() -> dict[str, Any]:
    return copy.deepcopy(estate.claim("CostControl", "production"))


def observed(made: Made, arn: str = ARN) -> Made:
    """What Crossplane sees. `arn`: what AWS calls the monitor; empty as long as it has not said."""
    return {
        key: {**each, "status": {"atProvider": {"arn": arn} if key == MONITOR and arn else {}}}
        for key, each in made.items()
    }


def settled(content: dict[str, Any]) -> Made:
    return estate.resources(content, observed(estate.resources(content)))


def test_aws_takes_every_resource_of_the_claim() -> None:
    assert estate.problems(claim()) == []
    made = settled(claim())
    assert set(made) == {BUDGET, MONITOR, SUBSCRIPTION}
    for each in made.values():
        assert estate.problems({**each, "metadata": {**each["metadata"], "namespace": "production"}}) == []


def test_monthly_budget_2000_usd() -> None:
    budget = parameters(settled(claim()), BUDGET)
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("2000", "USD", "MONTHLY")
    assert budget["budgetType"] == "COST"
    assert not {"costFilter", "filterExpression"} & set(budget)


def test_alert_thresholds_50_80_100_and_the_forecast() -> None:
    told = parameters(settled(claim()), BUDGET)["notification"]
    assert [(each["notificationType"], each["threshold"]) for each in told] == [
        ("ACTUAL", 50),
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    assert {each["thresholdType"] for each in told} == {"PERCENTAGE"}
    assert {each["comparisonOperator"] for each in told} == {"GREATER_THAN"}
    assert all(each["subscriberSnsTopicArns"] == [TOPIC] for each in told)


def test_cost_anomaly_detection_is_enabled() -> None:
    made = settled(claim())
    monitor = parameters(made, MONITOR)
    assert (monitor["monitorType"], monitor["monitorDimension"]) == ("DIMENSIONAL", "SERVICE")
    subscription = parameters(made, SUBSCRIPTION)
    assert (subscription["typeName"], subscription["region"]) == ("AWS::CE::AnomalySubscription", "us-east-1")
    wanted = json.loads(subscription["desiredState"])
    assert wanted["MonitorArnList"] == [ARN]
    assert wanted["Subscribers"] == [{"Type": "SNS", "Address": TOPIC}]
    assert wanted["Frequency"] == "IMMEDIATE"
    assert json.loads(wanted["ThresholdExpression"]) == {
        "Dimensions": {
            "Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
            "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
            "Values": ["20"],
        }
    }


def test_the_subscription_waits_for_its_monitor_and_does_not_go_again() -> None:
    first = estate.resources(claim())
    assert SUBSCRIPTION not in first
    made = settled(claim())
    assert estate.resources(claim(), observed(made)) == made
    assert estate.resources(claim(), observed(made, arn="")) == made


def test_a_monitor_that_the_account_has_is_taken_over() -> None:
    assert "annotations" not in settled(claim())[MONITOR]["metadata"]
    content = claim()
    content["spec"]["anomalies"]["monitorArn"] = ARN
    assert estate.problems(content) == []
    annotations = settled(content)[MONITOR]["metadata"]["annotations"]
    assert annotations == {"crossplane.io/external-name": ARN}


def test_what_the_document_says_is_what_a_claim_has_that_says_nothing() -> None:
    content = claim()
    for field in ("alertPercents", "forecastPercent", "anomalies"):
        del content["spec"][field]
    assert estate.problems(content) == []
    assert settled(content) == settled(claim())


NONSENSE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no budget": (lambda spec: spec.update(monthlyBudgetUsd=0), "monthlyBudgetUsd"),
    "an amount as text": (lambda spec: spec.update(monthlyBudgetUsd="2000"), "monthlyBudgetUsd"),
    "nobody hears of the end": (lambda spec: spec.update(alertPercents=[50, 80]), "used up"),
    "thresholds in disorder": (lambda spec: spec.update(alertPercents=[100, 50]), "lowest to the highest"),
    "more than AWS takes": (lambda spec: spec.update(alertPercents=[20, 40, 60, 80, 100]), "alertPercents"),
    "a threshold twice": (lambda spec: spec.update(alertPercents=[100, 100]), "alertPercents"),
    "no topic": (lambda spec: spec.pop("topic"), "topic"),
    "no account": (lambda spec: spec.update(account="koepon"), "account"),
    "another account's": (lambda spec: spec["anomalies"].update(monitorArn="koepon"), "monitorArn"),
    "an unknown field": (lambda spec: spec.update(yearly=True), "yearly"),
}


@pytest.mark.parametrize(("spoil", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    estate.assert_refused(claim(), spoil, said)


COMMITMENTS = yaml.safe_load((estate.ROOT / "policies" / "commitments.yaml").read_text())["commitments"]


def test_reserved_instances_are_the_document_s() -> None:
    assert {(each["for"], each["term"], each["payment"]) for each in COMMITMENTS} == {
        ("RDS", "1 year", "No Upfront"),
        ("EKS nodes", "1 year", "Partial Upfront"),
    }


@pytest.mark.parametrize(
    "bought", [each for each in COMMITMENTS if "nodeGroup" in each], ids=lambda each: each["nodeGroup"]
)
def test_no_more_nodes_are_bought_for_a_year_than_always_run(bought: dict[str, Any]) -> None:
    groups = estate.claim("Cluster", bought["environment"])["spec"]["nodeGroups"]
    [group] = [each for each in groups if each["name"] == bought["nodeGroup"]]
    assert group["instanceType"] == bought["instanceType"]
    assert "spot" not in group
    assert 0 < bought["count"] <= group["min"]


@pytest.mark.parametrize(
    "bought", [each for each in COMMITMENTS if "database" in each], ids=lambda each: each["database"]
)
def test_the_database_that_is_bought_for_a_year_is_the_one_that_runs(bought: dict[str, Any]) -> None:
    made = estate.resources(estate.claim("Database", bought["environment"]))
    instance = parameters(made, f"instance/{bought['database']}")
    assert (instance["instanceClass"], instance["multiAz"]) == (bought["instanceType"], bought["multiAz"])
    assert bought["count"] == 1
