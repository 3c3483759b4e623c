"""A ContentDelivery: CloudFront before buckets and load balancers, with certificates, DNS, and a firewall.

CloudFront and Route 53 are in no region: they stay when one is lost, and send requests to the other one.
"""

import json
from typing import Any

from composite import Composite, Json, Resources

EDGE = "us-east-1"
"""Where CloudFront takes certificates and firewalls from."""

CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"
BALANCER_ZONES: Json = {"ap-northeast-1": "Z14GRHDCWA56QT", "ap-southeast-1": "Z1LMS91P8CMLE5"}
"""The zones of AWS that its names for distributions and load balancers are in."""

NO_CACHE = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_OF_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
"""Policies that AWS keeps: CachingDisabled, and AllViewer, which passes on everything, cookies and host included."""

READING = ["GET", "HEAD", "OPTIONS"]
WRITING = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
FAILED = [500, 502, 503, 504]
YEAR = 31536000


class ContentDelivery(Composite):
    """Composed from names to what answers under them."""

    @staticmethod
    def build(resources: Resources) -> None:
        """Add everything; the distribution comes when what it names is there."""
        add_zone(resources)
        add_certificates(resources)
        add_firewall(resources)
        add_policies(resources)
        add_distribution(resources)
        add_addresses(resources)
        add_origin_addresses(resources)


def named(resources: Resources, suffix: str) -> str:
    """The name in Kubernetes of a resource of the claim."""
    return f"{resources.claim.name}-{suffix}"


def add_zone(resources: Resources) -> None:
    """The zone, if it is this claim's. Registrars point to its name servers: it has to stay."""
    zone = resources.claim.spec["zone"]
    if "namespace" not in zone:
        parameters = {"name": zone["name"], "comment": "Kept by Crossplane.", "forceDestroy": False}
        resources.aws("route53/Zone", named(resources, "zone"), parameters, stateful=True)


def add_record(resources: Resources, suffix: str, parameters: Json) -> None:
    """A record of the zone, whoever keeps it."""
    zone = resources.claim.spec["zone"]
    reference = {"name": named(resources, "zone")}
    if "namespace" in zone:
        reference["namespace"] = zone["namespace"]
    resources.aws("route53/Record", named(resources, suffix), {"zoneIdRef": reference, **parameters})


def add_certificates(resources: Resources) -> None:
    """One certificate for CloudFront and one in each region for its load balancer, all by the same record."""
    domain = resources.claim.spec["domain"]
    for region in (EDGE, *(origin["region"] for origin in resources.claim.spec["origins"])):
        name = named(resources, region)
        parameters = {
            "region": region,
            "domainName": domain,
            "subjectAlternativeNames": [f"*.{domain}"],
            "validationMethod": "DNS",
        }
        resources.aws("acm/Certificate", name, parameters)
        resources.aws("acm/CertificateValidation", name, {"region": region, "certificateArnRef": {"name": name}})
    # ACM asks the same of an account in all regions, and the same for a domain and for what is below it.
    asked = ("certificate/" + named(resources, EDGE), "domainValidationOptions", 0)
    name, kind, value = (
        resources.claim.seen(*asked, f"resourceRecord{part}") or "" for part in ("Name", "Type", "Value")
    )
    record = {"name": name.removesuffix("."), "type": kind, "ttl": 300, "records": [value], "allowOverwrite": True}
    key = "record/" + named(resources, "validation")
    resources.once(name and kind and value, key, lambda: add_record(resources, "validation", record))


def add_firewall(resources: Resources) -> None:
    """What AWS knows to be attacks is refused, and who asks too often."""
    rate = {"Limit": resources.claim.spec["requestsPerFiveMinutes"], "AggregateKeyType": "IP"}
    # Bodies over 8 KB are uploads here, and no attack.
    uploads = [{"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}]
    rules = [
        {
            "Name": "rate",
            "Priority": 0,
            "Statement": {"RateBasedStatement": rate},
            "Action": {"Block": {}},
            "VisibilityConfig": visibility("rate"),
        },
        managed_rules("common", 1, "AWSManagedRulesCommonRuleSet", {"RuleActionOverrides": uploads}),
        managed_rules("known-bad-inputs", 2, "AWSManagedRulesKnownBadInputsRuleSet", {}),
    ]
    name = f"{resources.claim.spec['namePrefix']}-web"
    parameters = {
        "region": EDGE,
        "name": name,
        "scope": "CLOUDFRONT",
        "defaultAction": {"allow": {}},
        "ruleJson": json.dumps(rules),
        "visibilityConfig": {"cloudwatchMetricsEnabled": True, "metricName": name, "sampledRequestsEnabled": True},
    }
    resources.aws("wafv2/WebACL", named(resources, "web"), parameters)


def managed_rules(name: str, priority: int, group: str, more: Json) -> Json:
    """A rule that is a group of rules that AWS keeps."""
    return {
        "Name": name,
        "Priority": priority,
        "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": group, **more}},
        "OverrideAction": {"None": {}},
        "VisibilityConfig": visibility(name),
    }


def visibility(name: str) -> Json:
    """What is counted and kept of a rule, in the words of WAF's own JSON."""
    return {"CloudWatchMetricsEnabled": True, "MetricName": name, "SampledRequestsEnabled": True}


def add_policies(resources: Resources) -> None:
    """How long what is cached, what browsers are told, and how CloudFront shows buckets who it is."""
    spec = resources.claim.spec
    nothing = {"cookiesConfig": {"cookieBehavior": "none"}}
    assets = {**nothing, "headersConfig": {"headerBehavior": "none"}, "queryStringsConfig": query("none")}
    # Cookies don't reach pages: what is cached for everybody can't have been made for somebody.
    host = {"headerBehavior": "whitelist", "headers": {"items": ["Host"]}}
    pages = {**nothing, "headersConfig": host, "queryStringsConfig": query("all")}
    add_cache_policy(resources, "assets", spec["assetsSeconds"], spec["assetsSeconds"], assets)
    add_cache_policy(resources, "pages", 0, spec["pagesSeconds"], pages)
    headers = {
        "strictTransportSecurity": {"accessControlMaxAgeSec": YEAR, "includeSubdomains": True, "override": True},
        "contentTypeOptions": {"override": True},
        "frameOptions": {"frameOption": "SAMEORIGIN", "override": False},
        "referrerPolicy": {"referrerPolicy": "strict-origin-when-cross-origin", "override": False},
    }
    parameters = {"name": f"{spec['namePrefix']}-headers", "securityHeadersConfig": headers}
    resources.aws("cloudfront/ResponseHeadersPolicy", named(resources, "headers"), parameters)
    access = {
        "name": f"{spec['namePrefix']}-assets",
        "originAccessControlOriginType": "s3",
        "signingBehavior": "always",
        "signingProtocol": "sigv4",
    }
    resources.aws("cloudfront/OriginAccessControl", named(resources, "assets"), access)


def query(behavior: str) -> Json:
    """Which part of a query tells answers apart."""
    return {"queryStringBehavior": behavior}


def add_cache_policy(resources: Resources, suffix: str, least: int, most: int, told_apart: Json) -> None:
    """Answers are cached for `most` seconds; their headers can say less, but not less than `least`."""
    parameters = {
        "name": f"{resources.claim.spec['namePrefix']}-{suffix}",
        "minTtl": least,
        "defaultTtl": most,
        "maxTtl": most,
        "parametersInCacheKeyAndForwardedToOrigin": {
            "enableAcceptEncodingBrotli": True,
            "enableAcceptEncodingGzip": True,
            **told_apart,
        },
    }
    resources.aws("cloudfront/CachePolicy", named(resources, suffix), parameters)


def distribution_key(resources: Resources) -> str:
    """The distribution is called like the claim."""
    return f"distribution/{resources.claim.name}"


def add_distribution(resources: Resources) -> None:
    """The distribution, which refers to nothing but the access control: all else it has to be told by id."""
    claim = resources.claim
    known = {
        "certificate": claim.seen("certificate/" + named(resources, EDGE), "arn"),
        "validated": claim.seen("certificatevalidation/" + named(resources, EDGE), "id"),
        "firewall": claim.seen("webacl/" + named(resources, "web"), "arn"),
        "assets": claim.seen("cachepolicy/" + named(resources, "assets"), "id"),
        "pages": claim.seen("cachepolicy/" + named(resources, "pages"), "id"),
        "headers": claim.seen("responseheaderspolicy/" + named(resources, "headers"), "id"),
    }
    resources.once(
        all(known.values()),
        distribution_key(resources),
        lambda: resources.aws("cloudfront/Distribution", claim.name, distribution(resources, known)),
    )


def distribution(resources: Resources, known: Json) -> Json:
    """The distribution's parameters: /assets/* from the buckets, /api/* and all else from the load balancers."""
    spec = resources.claim.spec
    headers = {"responseHeadersPolicyId": known["headers"]}
    buckets = [bucket(resources, origin) for origin in spec["origins"]]
    assets: dict[str, Any] = {"targetOriginId": buckets[0]["originId"]}
    parameters: dict[str, Any] = {}
    if len(buckets) > 1:
        assets["targetOriginId"] = "assets"
        members = [{"originId": each["originId"]} for each in buckets]
        group = {"originId": "assets", "member": members, "failoverCriteria": {"statusCodes": FAILED}}
        parameters["originGroup"] = [group]
    api = {"targetOriginId": "application", "cachePolicyId": NO_CACHE, "originRequestPolicyId": ALL_OF_VIEWER}
    pages = {"targetOriginId": "application", "cachePolicyId": known["pages"]}
    assets["cachePolicyId"] = known["assets"]
    return {
        **parameters,
        "comment": spec["domain"],
        "enabled": True,
        "aliases": [spec["domain"]],
        "httpVersion": "http2",
        "isIpv6Enabled": True,
        # The cheapest class with places in Japan.
        "priceClass": "PriceClass_200",
        "webAclId": known["firewall"],
        "origin": [*buckets, application(resources)],
        "orderedCacheBehavior": [
            {"pathPattern": "/assets/*", **behavior(READING), **assets, **headers},
            {"pathPattern": "/api/*", **behavior(WRITING), **api, **headers},
        ],
        "defaultCacheBehavior": {**behavior(READING), **pages, **headers},
        "viewerCertificate": {
            "acmCertificateArn": known["certificate"],
            "minimumProtocolVersion": "TLSv1.2_2021",
            "sslSupportMethod": "sni-only",
        },
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "loggingConfig": {
            "bucket": f"{spec['logsBucket']}.s3.amazonaws.com",
            "prefix": "cloudfront/",
            "includeCookies": False,
        },
    }


def behavior(methods: list[str]) -> Json:
    """What all behaviors have in common."""
    return {
        "viewerProtocolPolicy": "redirect-to-https",
        "compress": True,
        "allowedMethods": methods,
        "cachedMethods": ["GET", "HEAD"],
    }


def bucket(resources: Resources, origin: Json) -> Json:
    """The static assets in one region."""
    return {
        "originId": f"assets-{origin['region']}",
        "domainName": f"{origin['assetsBucket']}.s3.{origin['region']}.amazonaws.com",
        "originAccessControlIdRef": {"name": named(resources, "assets")},
    }


def origin_host(resources: Resources) -> str:
    """Under which name CloudFront finds the load balancers."""
    return f"origin.{resources.claim.spec['domain']}"


def application(resources: Resources) -> Json:
    """The load balancers, of which DNS gives one that is well."""
    return {
        "originId": "application",
        "domainName": origin_host(resources),
        "customOriginConfig": {
            "httpPort": 80,
            "httpsPort": 443,
            "originProtocolPolicy": "https-only",
            "originSslProtocols": ["TLSv1.2"],
            "originReadTimeout": 30,
            "originKeepaliveTimeout": 5,
        },
    }


def add_addresses(resources: Resources) -> None:
    """The host's addresses, IPv4 and IPv6: the distribution's."""
    for kind in ("A", "AAAA"):
        add_address(resources, kind, resources.claim.seen(distribution_key(resources), "domainName"))


def add_address(resources: Resources, kind: str, target: object) -> None:
    """One of the host's records, as soon as the name of the distribution, its `target`, is known."""
    suffix = f"host-{kind.lower()}"
    alias = {"name": target, "zoneId": CLOUDFRONT_ZONE, "evaluateTargetHealth": False}
    record = {"name": resources.claim.spec["domain"], "type": kind, "alias": alias}
    key = "record/" + named(resources, suffix)
    resources.once(target, key, lambda: add_record(resources, suffix, record))


def add_origin_addresses(resources: Resources) -> None:
    """The load balancers' addresses. The second one is given while no target of the first one is well."""
    origins = resources.claim.spec["origins"]
    for origin, role in zip(origins, ("PRIMARY", "SECONDARY"), strict=False):
        if "loadBalancer" not in origin:
            continue
        region = origin["region"]
        alias = {"name": origin["loadBalancer"], "zoneId": BALANCER_ZONES[region], "evaluateTargetHealth": True}
        record: dict[str, Any] = {"name": origin_host(resources), "type": "A", "alias": alias}
        if len(origins) > 1:
            record |= {"setIdentifier": region, "failoverRoutingPolicy": {"type": role}}
        add_record(resources, f"origin-{region}", record)
