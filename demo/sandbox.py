"""A copy of production to play with: this repository with a remote on disk, and moto's server as ECR."""

import json
import logging
import os
import shutil
import subprocess
import sys
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import yaml
from moto.server import ThreadedMotoServer

PRODUCTION = ("apps", "clusters", "infrastructure", "policies", "pyproject.toml")
"""What of this repository is production."""
REGION = "ap-northeast-1"
REPOSITORY = "koepon/app"


class Ecr:
    """moto's server on loopback, with one ECR repository, as the commands reach it by AWS_ENDPOINT_URL."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        urlopen(Request(f"{self.url}/moto-api/reset", method="POST")).close()  # noqa: S310 - loopback
        self._client: Any = boto3.client(
            "ecr",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106 - opens nothing
        )
        self._released: set[str] = set()
        self._client.create_repository(repositoryName=REPOSITORY)

    @property
    def environment(self) -> dict[str, str]:
        """What makes AWS clients talk to this server, with credentials that open nothing."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def release(self, name: str) -> str:
        """Push and scan an image; the commit it stands for is the sha-1 of `name`."""
        commit = sha1(name.encode(), usedforsecurity=False).hexdigest()
        if commit in self._released:
            return commit
        self._released.add(commit)
        blob = "application/vnd.oci.image.config.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": blob, "size": 2, "digest": f"sha256:{'0' * 64}"},
            "layers": [{"size": 2, "digest": f"sha256:{commit}"}],
        }
        self._client.put_image(repositoryName=REPOSITORY, imageManifest=json.dumps(manifest), imageTag=commit)
        self._client.start_image_scan(repositoryName=REPOSITORY, imageId={"imageTag": commit})
        return commit

    def stop(self) -> None:
        """End the server."""
        self._server.stop()


class Sandbox:
    """A bare remote and a clone of it under `folder`, holding production as it is in the work tree around `source`."""

    def __init__(self, folder: Path, source: Path, ecr: Ecr) -> None:
        self.remote, self.clone = folder / "remote.git", folder / "clone"
        self.environment = {**_clean_environment(folder), **ecr.environment}
        self.remote.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", at=self.remote)
        self.git("clone", "--quiet", str(self.remote), str(self.clone), at=folder)
        for name in PRODUCTION:
            if (source / name).is_dir():
                shutil.copytree(source / name, self.clone / name)
            else:
                shutil.copy(source / name, self.clone / name)
        self.commit("Production as it is")

    def git(self, *arguments: str, at: Path | None = None) -> str:
        """Run git in the clone (or `at`) and give its output."""
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=at or self.clone, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit and push what is in the clone."""
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={message}")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def open_gates(self) -> None:
        """Take waiting time and freezes out of the promotion policy: a sandbox has half a minute."""
        policy = self.clone / "policies" / "promotion.yaml"
        data = yaml.safe_load(policy.read_text("utf-8"))
        for environment in data["environments"]:
            environment.pop("soak", None)
            environment.pop("freezes", None)
        policy.write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")
        self.commit("No waiting and no freezes in the sandbox")

    def run(self, *arguments: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`python -m koepon_gitops ...` as a person would type it; stderr is part of the output."""
        command = [sys.executable, "-m", "koepon_gitops", *arguments]
        return subprocess.run(
            command,
            cwd=at or self.clone,
            env=self.environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def _clean_environment(folder: Path) -> dict[str, str]:
    """This process's environment without the user's git and AWS settings."""
    configuration = folder / "gitconfig"
    folder.mkdir(parents=True, exist_ok=True)
    configuration.write_text("[user]\n\tname = Aoi\n\temail = aoi@koepon.example\n", "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GIT_"))}
    return {**kept, "GIT_CONFIG_GLOBAL": str(configuration), "GIT_CONFIG_NOSYSTEM": "1"}
