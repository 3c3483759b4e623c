"""What the internet sees as claimed: the document's figures, what waits for what, the second region, and nonsense."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import estate
from tests.estate import parameters

ENVIRONMENTS = ("staging", "production")
DOMAINS = {"staging": "staging.koepon.com", "production": "koepon.com"}
TOKYO, SINGAPORE = "ap-northeast-1", "ap-southeast-1"
BALANCERS = {
    region: f"k8s-production-koepon-{number}.{region}.elb.amazonaws.com"
    for number, region in enumerate((TOKYO, SINGAPORE), 1)
}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1b9d5c0e-0000-4000-8000-5f1f4f4b2a11"
FIREWALL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/koepon-web/1b9d5c0e"
DISTRIBUTION = "distribution/koepon"
ASKED = {
    "resourceRecordName": "_0f1e2d3c.koepon.com.",
    "resourceRecordType": "CNAME",
    "resourceRecordValue": "_3c2d1e0f.acm-validations.aws.",
}

STATUS: dict[str, dict[str, Any]] = {
    "certificate/koepon-us-east-1": {"arn": CERTIFICATE, "domainValidationOptions": [ASKED, ASKED]},
    "certificatevalidation/koepon-us-east-1": {"id": "2026-11-24 00:00:00 +0000 UTC"},
    "webacl/koepon-web": {"arn": FIREWALL},
    "cachepolicy/koepon-assets": {"id": "assets-policy"},
    "cachepolicy/koepon-pages": {"id": "pages-policy"},
    "responseheaderspolicy/koepon-headers": {"id": "headers-policy"},
    DISTRIBUTION: {"domainName": "d111111abcdef8.cloudfront.net"},
}
NEEDED = [key for key in STATUS if key != DISTRIBUTION]

type Claim = dict[str, Any]
type Made = dict[str, dict[str, Any]]


def claim(environment: str = "production", **spec: Any) -> Claim:
    found = copy.deepcopy(estate.claim("ContentDelivery", environment))
    found["spec"] |= spec
    return found


def balanced(environment: str = "production") -> Claim:
    """The claim once every region has a load balancer."""
    content = claim(environment)
    for origin in content["spec"]["origins"]:
        origin["loadBalancer"] = BALANCERS[origin["region"]]
    return content


def observed(made: Made, status: dict[str, dict[str, Any]] = STATUS) -> Made:
    return estate.observed(made, status)


def settled(content: Claim) -> Made:
    return estate.settled(content, STATUS)


def behaviors(made: Made) -> dict[str, dict[str, Any]]:
    """Behaviors of the distribution by the paths they are for."""
    found = parameters(made, DISTRIBUTION)
    return {"/*": found["defaultCacheBehavior"]} | {each["pathPattern"]: each for each in found["orderedCacheBehavior"]}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("content", [claim, balanced])
def test_aws_takes_every_resource_of_a_claim(content: Callable[[str], Claim], environment: str) -> None:
    whole = content(environment)
    assert estate.problems(whole) == []
    made = settled(whole)
    assert DISTRIBUTION in made
    for each in made.values():
        assert estate.problems({**each, "metadata": {**each["metadata"], "namespace": environment}}) == []


MADE = settled(balanced())

DOCUMENT: dict[str, Callable[[], bool]] = {
    "Origins: S3 bucket (static assets)": lambda: (
        parameters(MADE, DISTRIBUTION)["origin"][0]["domainName"] == f"koepon-assets-prod.s3.{TOKYO}.amazonaws.com"
    ),
    "Origins: ALB (dynamic content)": lambda: (
        parameters(MADE, DISTRIBUTION)["origin"][-1]["domainName"] == "origin.koepon.com"
    ),
    "/assets/* : Cache for 1 year": lambda: (
        behaviors(MADE)["/assets/*"]["cachePolicyId"] == "assets-policy"
        and {parameters(MADE, "cachepolicy/koepon-assets")[each] for each in ("minTtl", "defaultTtl", "maxTtl")}
        == {365 * 24 * 3600}
    ),
    # The id of CachingDisabled, as CloudFront's documentation has it.
    "/api/* : No cache": lambda: behaviors(MADE)["/api/*"]["cachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "/* : Cache for 1 hour": lambda: (
        behaviors(MADE)["/*"]["cachePolicyId"] == "pages-policy"
        and [parameters(MADE, "cachepolicy/koepon-pages")[each] for each in ("minTtl", "defaultTtl", "maxTtl")]
        == [0, 3600, 3600]
    ),
    "SSL: Custom certificate (*.koepon.com)": lambda: (
        parameters(MADE, "certificate/koepon-us-east-1")["subjectAlternativeNames"] == ["*.koepon.com"]
        and parameters(MADE, DISTRIBUTION)["viewerCertificate"]["acmCertificateArn"] == CERTIFICATE
    ),
    "HTTP/2: enabled": lambda: parameters(MADE, DISTRIBUTION)["httpVersion"] == "http2",
    "Compression: enabled": lambda: (
        all(each["compress"] is True for each in behaviors(MADE).values())
        and all(
            parameters(MADE, f"cachepolicy/koepon-{name}")["parametersInCacheKeyAndForwardedToOrigin"][field] is True
            for name in ("assets", "pages")
            for field in ("enableAcceptEncodingBrotli", "enableAcceptEncodingGzip")
        )
    ),
}


@pytest.mark.parametrize("holds", DOCUMENT.values(), ids=list(DOCUMENT))
def test_the_document_s_figures(holds: Callable[[], bool]) -> None:
    assert holds()


def test_everybody_in_japan_is_answered_from_nearby_by_ipv4_and_ipv6() -> None:
    found = parameters(MADE, DISTRIBUTION)
    assert (found["enabled"], found["isIpv6Enabled"], found["priceClass"]) == (True, True, "PriceClass_200")
    assert found["restrictions"] == {"geoRestriction": {"restrictionType": "none"}}


def test_nobody_gets_in_without_tls_1_2() -> None:
    found = parameters(MADE, DISTRIBUTION)
    assert found["viewerCertificate"]["minimumProtocolVersion"] == "TLSv1.2_2021"
    assert found["viewerCertificate"]["sslSupportMethod"] == "sni-only"
    assert {each["viewerProtocolPolicy"] for each in behaviors(MADE).values()} == {"redirect-to-https"}
    balancers = found["origin"][-1]["customOriginConfig"]
    assert (balancers["originProtocolPolicy"], balancers["originSslProtocols"]) == ("https-only", ["TLSv1.2"])
    headers = parameters(MADE, "responseheaderspolicy/koepon-headers")["securityHeadersConfig"]
    assert headers["strictTransportSecurity"] == {
        "accessControlMaxAgeSec": 365 * 24 * 3600,
        "includeSubdomains": True,
        "override": True,
    }
    assert {each["responseHeadersPolicyId"] for each in behaviors(MADE).values()} == {"headers-policy"}


def test_what_is_cached_was_made_for_nobody_in_particular() -> None:
    for name in ("assets", "pages"):
        told_apart = parameters(MADE, f"cachepolicy/koepon-{name}")["parametersInCacheKeyAndForwardedToOrigin"]
        assert told_apart["cookiesConfig"] == {"cookieBehavior": "none"}
    for path in ("/assets/*", "/*"):
        assert "originRequestPolicyId" not in behaviors(MADE)[path]
        assert behaviors(MADE)[path]["allowedMethods"] == ["GET", "HEAD", "OPTIONS"]
    pages = parameters(MADE, "cachepolicy/koepon-pages")["parametersInCacheKeyAndForwardedToOrigin"]
    assert pages["headersConfig"] == {"headerBehavior": "whitelist", "headers": {"items": ["Host"]}}
    assert pages["queryStringsConfig"] == {"queryStringBehavior": "all"}


def test_the_api_gets_all_that_a_viewer_sends() -> None:
    api = behaviors(MADE)["/api/*"]
    assert api["targetOriginId"] == "application"
    assert api["originRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"
    assert set(api["allowedMethods"]) == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}


def test_assets_come_from_the_other_region_when_one_fails() -> None:
    found = parameters(MADE, DISTRIBUTION)
    first, second, application = found["origin"]
    assert second["domainName"] == f"koepon-assets-dr.s3.{SINGAPORE}.amazonaws.com"
    for each in (first, second):
        assert each["originAccessControlIdRef"] == {"name": "koepon-assets"}
    [group] = found["originGroup"]
    assert group["member"] == [{"originId": first["originId"]}, {"originId": second["originId"]}]
    assert group["failoverCriteria"] == {"statusCodes": [500, 502, 503, 504]}
    assert behaviors(MADE)["/assets/*"]["targetOriginId"] == group["originId"]
    assert behaviors(MADE)["/*"]["targetOriginId"] == application["originId"]
    access = parameters(MADE, "originaccesscontrol/koepon-assets")
    assert (access["signingBehavior"], access["signingProtocol"]) == ("always", "sigv4")
    assert access["originAccessControlOriginType"] == "s3"


def test_one_region_has_no_group_and_no_failover() -> None:
    made = settled(balanced("staging"))
    found = parameters(made, DISTRIBUTION)
    assert "originGroup" not in found
    assert behaviors(made)["/assets/*"]["targetOriginId"] == found["origin"][0]["originId"]
    assert "failoverRoutingPolicy" not in parameters(made, f"record/koepon-origin-{TOKYO}")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_buckets_are_those_of_the_object_stores(environment: str) -> None:
    spec = claim(environment)["spec"]
    places = {TOKYO: environment, SINGAPORE: "dr"}
    for origin in spec["origins"]:
        store = estate.claim("ObjectStore", places[origin["region"]], "koepon-assets")["spec"]
        assert (store["bucket"], store["region"]) == (origin["assetsBucket"], origin["region"])
        assert store["servedPrefix"] == "assets/"
    logs = estate.claim("ObjectStore", environment, "koepon-logs")["spec"]
    logging = parameters(settled(claim(environment)), DISTRIBUTION)["loggingConfig"]
    assert logging["bucket"] == f"{logs['bucket']}.s3.amazonaws.com"
    assert logging["includeCookies"] is False
    assert logs["receivesLogs"] and logging["prefix"] in [each["prefix"] for each in logs["expirations"]]


def test_dns_switches_to_the_other_region_by_the_targets_health() -> None:
    """DR Procedures: 5. DNS switchover to backup region."""
    zones = {TOKYO: "Z14GRHDCWA56QT", SINGAPORE: "Z1LMS91P8CMLE5"}
    for region, role in ((TOKYO, "PRIMARY"), (SINGAPORE, "SECONDARY")):
        record = parameters(MADE, f"record/koepon-origin-{region}")
        assert (record["name"], record["type"]) == ("origin.koepon.com", "A")
        assert record["alias"] == {"name": BALANCERS[region], "zoneId": zones[region], "evaluateTargetHealth": True}
        assert (record["failoverRoutingPolicy"], record["setIdentifier"]) == ({"type": role}, region)


def test_a_region_without_a_load_balancer_gets_nothing() -> None:
    content = balanced()
    del content["spec"]["origins"][0]["loadBalancer"]
    made = settled(content)
    assert f"record/koepon-origin-{TOKYO}" not in made
    assert parameters(made, f"record/koepon-origin-{SINGAPORE}")["failoverRoutingPolicy"] == {"type": "SECONDARY"}


@pytest.mark.parametrize(
    ("environment", "regions"),
    [("staging", {"us-east-1", TOKYO}), ("production", {"us-east-1", TOKYO, SINGAPORE})],
)
def test_cloudfront_and_every_load_balancer_have_a_certificate(environment: str, regions: set[str]) -> None:
    made = settled(claim(environment))
    certificates = [parameters(made, key) for key in made if key.startswith("certificate/")]
    assert {each["region"] for each in certificates} == regions
    for each in certificates:
        domain = DOMAINS[environment]
        assert (each["domainName"], each["subjectAlternativeNames"]) == (domain, [f"*.{domain}"])
        assert each["validationMethod"] == "DNS"
        validation = parameters(made, f"certificatevalidation/koepon-{each['region']}")
        assert validation["certificateArnRef"] == {"name": f"koepon-{each['region']}"}
        assert validation["region"] == each["region"]


def test_certificates_are_validated_by_the_record_that_is_asked_for() -> None:
    record = parameters(MADE, "record/koepon-validation")
    assert (record["name"], record["type"]) == ("_0f1e2d3c.koepon.com", "CNAME")
    assert record["records"] == ["_3c2d1e0f.acm-validations.aws."]


def test_the_host_is_the_distribution() -> None:
    for kind in ("A", "AAAA"):
        record = parameters(MADE, f"record/koepon-host-{kind.lower()}")
        assert (record["name"], record["type"]) == ("koepon.com", kind)
        assert record["alias"]["name"] == "d111111abcdef8.cloudfront.net"
        assert record["alias"]["zoneId"] == "Z2FDTNDATAQYW2"
    assert parameters(MADE, DISTRIBUTION)["aliases"] == ["koepon.com"]


def test_production_keeps_the_zone_and_staging_has_records_in_it() -> None:
    assert parameters(MADE, "zone/koepon-zone")["name"] == "koepon.com"
    assert parameters(MADE, "zone/koepon-zone")["forceDestroy"] is False
    assert "Delete" not in MADE["zone/koepon-zone"]["spec"]["managementPolicies"]
    assert "usage/zone/koepon-zone" in MADE
    staging = settled(balanced("staging"))
    assert "zone/koepon-zone" not in staging
    for made, reference in (
        (MADE, {"name": "koepon-zone"}),
        (staging, {"name": "koepon-zone", "namespace": "production"}),
    ):
        records = [parameters(made, key) for key in made if key.startswith("record/")]
        assert len(records) >= 4
        assert all(each["zoneIdRef"] == reference for each in records)


def test_attacks_and_floods_are_refused_and_uploads_are_not() -> None:
    firewall = parameters(MADE, "webacl/koepon-web")
    assert (firewall["region"], firewall["scope"]) == ("us-east-1", "CLOUDFRONT")
    assert firewall["defaultAction"] == {"allow": {}}
    rate, common, inputs = json.loads(firewall["ruleJson"])
    assert rate["Statement"] == {"RateBasedStatement": {"Limit": 2000, "AggregateKeyType": "IP"}}
    assert rate["Action"] == {"Block": {}}
    groups = [each["Statement"]["ManagedRuleGroupStatement"] for each in (common, inputs)]
    assert [each["Name"] for each in groups] == ["AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"]
    assert groups[0]["RuleActionOverrides"] == [{"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}]
    assert [each["OverrideAction"] for each in (common, inputs)] == [{"None": {}}] * 2
    assert len({each["Priority"] for each in (rate, common, inputs)}) == 3
    assert parameters(MADE, DISTRIBUTION)["webAclId"] == FIREWALL


@pytest.mark.parametrize("away", NEEDED)
def test_a_distribution_waits_for_all_that_it_names_and_stays_when_it_is_away(away: str) -> None:
    content = balanced()
    rest = {key: value for key, value in STATUS.items() if key != away}
    first = estate.resources(content)
    assert DISTRIBUTION not in first
    assert DISTRIBUTION not in estate.resources(content, observed(first, rest))
    assert DISTRIBUTION in estate.resources(content, observed(first))
    assert estate.resources(content, observed(MADE, rest)) == MADE


@pytest.mark.parametrize("field", ASKED)
def test_the_record_waits_for_all_that_acm_says(field: str) -> None:
    content = claim()
    asked = {**ASKED, field: ""}
    status = {"certificate/koepon-us-east-1": {"arn": CERTIFICATE, "domainValidationOptions": [asked]}}
    assert "record/koepon-validation" not in estate.resources(content, observed(estate.resources(content), status))


def test_nothing_goes_away_while_every_status_is_away() -> None:
    assert estate.resources(balanced(), observed(MADE)) == MADE
    assert estate.resources(balanced(), observed(MADE, {})) == MADE
    waiting = {DISTRIBUTION, "record/koepon-validation", "record/koepon-host-a", "record/koepon-host-aaaa"}
    assert set(MADE) - set(estate.resources(balanced())) == waiting


def origin(**more: Any) -> dict[str, Any]:
    return {"region": TOKYO, "assetsBucket": "koepon-assets-prod", **more}


NONSENSE: dict[str, tuple[dict[str, Any], str]] = {
    "a host outside the zone": ({"domain": "koepon.jp"}, "the zone's"),
    "a host that ends alike": ({"domain": "notkoepon.com"}, "the zone's"),
    "a balancer elsewhere": ({"origins": [origin(loadBalancer=BALANCERS[SINGAPORE])]}, "in the region"),
    "an address for a balancer": ({"origins": [origin(loadBalancer="10.0.1.5")]}, "loadBalancer"),
    "no origin": ({"origins": []}, "origins"),
    "one region twice": ({"origins": [origin(), origin()]}, "origins"),
    "an unknown region": ({"origins": [origin(region="mars-1")]}, "region"),
    "assets for more than a year": ({"assetsSeconds": 31536001}, "assetsSeconds"),
    "pages for a week": ({"pagesSeconds": 7 * 86400}, "pagesSeconds"),
    "nobody may ask": ({"requestsPerFiveMinutes": 0}, "requestsPerFiveMinutes"),
    "any host": ({"domain": "*.koepon.com"}, "domain"),
    "an unknown field": ({"tls": "1.0"}, "tls"),
}


@pytest.mark.parametrize(("spec", "said"), NONSENSE.values(), ids=list(NONSENSE))
def test_a_claim_without_sense_is_refused(spec: dict[str, Any], said: str) -> None:
    found = estate.problems(claim(**spec))
    assert found and any(said in problem for problem in found), found
