"""Images in ECR: which one a commit stands for, and whether it may run. The only module that talks to ECR.

boto3 finds credentials and the endpoint (AWS_ENDPOINT_URL) as it does everywhere; it is imported by the first call.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, cast

from pydantic import StringConstraints, ValidationError

from koepon_gitops.errors import GitOpsError, RequestError, UncheckableError
from koepon_gitops.model import Json, Value

CONNECT_TIMEOUT = 3
"""Seconds to wait for a connection."""
READ_TIMEOUT = 10
"""Seconds to wait for an answer."""

_LONGEST_LIST = 20
"""Tags named when a prefix stands for several."""


class Release(Value):
    """One image that may run."""

    tag: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
    """The commit it was built from."""
    digest: Annotated[str, StringConstraints(pattern="^sha256:[0-9a-f]{64}$")]
    repository: str
    """As a pod names it: `<account>.dkr.ecr.<region>.amazonaws.com/<name>`."""
    pushed_at: datetime

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}@{self.digest}"


class Registry:
    """ECR in one region, as the credentials of the environment see it.

    `attempts` is how often a call is made in all before it counts as failed (botocore's `standard` retries).
    """

    def __init__(self, region: str, *, attempts: int = 3) -> None:
        self.region, self.attempts = region, attempts

    def find(self, repository: str, reference: str) -> Release:
        """The image of the commit `reference`: 40 hex digits, or 7 or more that only one tag begins with.

        It exists, its scan has finished, and nothing CRITICAL was found; else raises RequestError
        registry/{malformed,unknown-image,ambiguous,scan-pending,scan-missing,vulnerable}, or UncheckableError
        registry/{unreachable,denied,no-credentials}. What is malformed never reaches the network.
        """
        check_form(reference)
        with _explained(f"{repository}:{reference}", self.region):
            tag = reference if len(reference) == 40 else self._only_tag(repository, reference)
        with _explained(f"{repository}:{tag}", self.region):
            image = self._describe(repository, tag)
            release = self._release(repository, tag, image)
            _check_scan(self._scan(repository, tag, image), image, f"{repository}:{tag}", self.region)
        return release

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 - half a second
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
        )
        return boto3.session.Session().client("ecr", region_name=self.region, config=config)

    def _only_tag(self, repository: str, prefix: str) -> str:
        pages = self._client.get_paginator("list_images").paginate(
            repositoryName=repository,
            filter={"tagStatus": "TAGGED"},
            PaginationConfig={"PageSize": 1000},
        )
        tags: Iterator[str] = (each.get("imageTag", "") for page in pages for each in page.get("imageIds", ()))
        found = sorted({tag for tag in tags if tag.startswith(prefix) and _COMMIT.fullmatch(tag)})
        if not found:
            raise _unknown(f"{repository}:{prefix}", "No image has a tag that is a commit and begins so.")
        if len(found) > 1:
            more = f" and {len(found) - _LONGEST_LIST} more" if len(found) > _LONGEST_LIST else ""
            raise RequestError(
                "registry/ambiguous",
                f"{len(found)} images have a tag that begins so: {', '.join(found[:_LONGEST_LIST])}{more}.",
                where=f"{repository}:{prefix}",
                remedy="Give more of the commit's digits.",
            )
        return found[0]

    def _describe(self, repository: str, tag: str) -> Json:
        """`ImageDetail` of ECR's API."""
        answer = self._client.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        images = answer.get("imageDetails")
        if not images:
            raise _strange("an answer without an image", f"{repository}:{tag}")
        if images[0].get("imageStatus", "ACTIVE") != "ACTIVE":
            raise _unknown(
                f"{repository}:{tag}", "The image is archived: no node can pull it.", "Restore it in ECR first."
            )
        return cast("Json", images[0])

    def _release(self, repository: str, tag: str, image: Json) -> Release:
        try:
            return Release(
                tag=tag,
                digest=image["imageDigest"],
                repository=f"{image['registryId']}.dkr.ecr.{self.region}.amazonaws.com/{repository}",
                pushed_at=image["imagePushedAt"],
            )
        except (KeyError, ValidationError) as error:
            raise _strange("an image without a digest, an account or a time", f"{repository}:{tag}") from error

    def _scan(self, repository: str, tag: str, image: Json) -> Json:
        """What ECR knows of the scan: `ImageDetail` where it says, else the answer of DescribeImageScanFindings."""
        if "imageScanFindingsSummary" in image:
            return image
        ids = {"imageDigest": image["imageDigest"]}
        try:
            return cast("Json", self._client.describe_image_scan_findings(repositoryName=repository, imageId=ids))
        except self._client.exceptions.ScanNotFoundException as error:
            where = f"{repository}:{tag}"
            raise _unscanned(where, self.region, "The image has not been scanned.", image) from error


_COMMIT = re.compile("[0-9a-f]{40}")
_FORM = "A commit is 40 digits, each 0-9 or a-f, as `git rev-parse HEAD` prints it; its first 7 or more will do."


def check_form(reference: str) -> None:
    """Raise RequestError registry/malformed when this can't be a commit or the beginning of one."""
    if re.fullmatch("[0-9a-f]{7,40}", reference):
        return
    if re.fullmatch("[0-9a-fA-F]{7,40}", reference):
        what = "This has upper-case letters, and tags are lower case."
    elif re.fullmatch("[0-9a-f]+", reference):
        what = f"This has {len(reference)} digit{'s' if len(reference) > 1 else ''}."
    else:
        what = "This is not the sha of a commit."
    shown = ascii(reference if len(reference) <= 60 else f"{reference[:60]}...")
    raise RequestError("registry/malformed", what, where=shown, remedy=_FORM)


def _check_scan(scan: Json, image: Json, where: str, region: str) -> None:
    """Both forms of a scan name its status and the counts by severity alike."""
    status = scan.get("imageScanStatus", {})
    state = status.get("status", "")
    if state in {"PENDING", "IN_PROGRESS"}:
        raise RequestError(
            "registry/scan-pending",
            "The scan of the image has not finished.",
            where=where,
            remedy="Promote again in a minute or two.",
        )
    if state not in {"COMPLETE", "ACTIVE"}:
        words = f"{state}: {status['description']}" if state and status.get("description") else state or "not scanned"
        raise _unscanned(where, region, f"There is no finished scan of the image ({words.rstrip('.')}).", image)
    counts = (scan.get("imageScanFindingsSummary") or scan.get("imageScanFindings") or {}).get("findingSeverityCounts")
    if counts is None:
        raise _unscanned(where, region, "The scan of the image gives no counts of what it found.", image)
    if critical := counts.get("CRITICAL", 0):
        listed = ", ".join(f"{severity} {counts[severity]}" for severity in _SEVERITIES if severity in counts)
        raise RequestError(
            "registry/vulnerable",
            f"The scan has {critical} CRITICAL finding{'s' if critical > 1 else ''} ({listed}).",
            where=where,
            remedy="Mend that in the application and promote the commit that does; "
            f"`{_command('describe-image-scan-findings', where, region)}` lists them.",
        )


_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED")


def _unscanned(where: str, region: str, what: str, image: Json) -> RequestError:
    """ECR scans single images only: github.com/aws/containers-roadmap/issues/1683."""
    media_type = str(image.get("imageManifestMediaType", ""))
    if media_type.endswith(("image.index.v1+json", "manifest.list.v2+json")):
        what = f"{what} The tag names an image index, which ECR does not scan."
        remedy = "Build for one platform without attestations (`docker buildx build --provenance=false --sbom=false`)."
    else:
        remedy = f"Start one with `{_command('start-image-scan', where, region)}`, or let the repository scan on push."
    return RequestError("registry/scan-missing", what, where=where, remedy=remedy)


def _command(verb: str, where: str, region: str) -> str:
    repository, _, tag = where.rpartition(":")
    return f"aws ecr {verb} --region {region} --repository-name {repository} --image-id imageTag={tag}"


def _unknown(where: str, what: str, remedy: str = "") -> RequestError:
    remedy = remedy or "Promote a commit whose build has pushed its image; check `image` in policies/promotion.yaml."
    return RequestError("registry/unknown-image", what, where=where, remedy=remedy)


def _strange(what: str, where: str) -> UncheckableError:
    remedy = "Check AWS_ENDPOINT_URL and what stands between here and AWS."
    return UncheckableError("registry/unreachable", f"What answers as ECR sent {what}.", where=where, remedy=remedy)


@contextmanager
def _explained(where: str, region: str) -> Iterator[None]:
    """Turn what botocore raises into our errors."""
    from botocore import exceptions  # noqa: PLC0415 - with boto3, half a second
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        yield
    except exceptions.ClientError as error:
        raise _refused(error.response, where, region) from error
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.ProfileNotFound,
        exceptions.NoAuthTokenError,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
        exceptions.LoginError,
    ) as error:
        raise UncheckableError(
            "registry/no-credentials",
            f"There are no AWS credentials to ask ECR with: {_words(error)}",
            where=where,
            remedy="Log in (`aws sso login`), or set AWS_PROFILE; in a workflow, run configure-aws-credentials first.",
        ) from error
    except (exceptions.BotoCoreError, ResponseParserError, ValueError) as error:
        raise UncheckableError(
            "registry/unreachable",
            f"ECR in {region} can't be asked: {_words(error)}",
            where=where,
            remedy="Nothing was changed. Try again; check the network, the region and AWS_ENDPOINT_URL.",
        ) from error


def _refused(answer: Json, where: str, region: str) -> GitOpsError:
    """The error for an answer of ECR that is one."""
    error, status = answer.get("Error", {}), answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code, words = str(error.get("Code", "")), str(error.get("Message", "")).strip().rstrip(".")
    match code.removesuffix("Exception"):
        case "ImageNotFound":
            return _unknown(where, f"ECR in {region} has no image of this commit.")
        case "RepositoryNotFound":
            return _unknown(where, f"ECR in {region} has no repository of this name.")
    said = f"{code}: {words}" if words else code
    if code in _STALE:
        remedy = "Renew the credentials (`aws sso login`); `aws sts get-caller-identity` says whose they are."
        return UncheckableError(
            "registry/denied", f"AWS does not accept the credentials ({said}).", where=where, remedy=remedy
        )
    if status in {401, 403} or code.startswith("AccessDenied"):
        return UncheckableError(
            "registry/denied",
            f"These credentials may not ask ECR ({said}).",
            where=where,
            remedy="They need ecr:ListImages, ecr:DescribeImages and ecr:DescribeImageScanFindings on the repository.",
        )
    remedy = "Nothing was changed. Try again; health.aws.amazon.com says whether AWS has a disturbance."
    return UncheckableError("registry/unreachable", f"ECR in {region} failed ({said}).", where=where, remedy=remedy)


_STALE = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}
"""Codes by which AWS says that the credentials themselves are wrong or too old."""


def _words(error: Exception) -> str:
    return f"{' '.join(str(error).split()).rstrip('.')}."
