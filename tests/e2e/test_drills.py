"""Failures on the way from git to pods: each ends as git says, and not one serving pod is lost."""

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.figures import Figures
from tests.e2e.git_server import push_event
from tests.e2e.loop import APPLICATION, LIMIT, Loop

OUTAGE = 60.0
"""Seconds without the git remote."""
RETRIES = 3 * LIMIT
"""Seconds that Argo CD's own patience with a cluster that was away may take."""


def test_repo_server_is_killed_during_a_sync(loop: Loop, figures: Figures) -> None:
    sha = loop.ecr.release("repo-server killed")
    killed = threading.Event()

    def kill(path: str) -> None:
        """When it fetches the new commit: the sync has begun, and nothing of it is rendered yet."""
        if path.endswith("git-upload-pack") and loop.git.tip("remote.git") != before and not killed.is_set():
            loop.argocd.repo_server.kill()
            killed.set()

    with figures.timed("drills", "repo-server killed during a sync"), loop.watched("staging") as pods:
        before = loop.tip
        loop.git.asked = kill
        loop.command("promote", sha, "--env", "staging")
        assert killed.wait(LIMIT)
        loop.git.asked = None
        loop.wait_live("staging")
        assert loop.written("staging").startswith(sha)
    assert min(pods) >= 2


@pytest.mark.parametrize("name", ["production", "hub"])
def test_an_api_server_restarts_during_a_promotion(loop: Loop, figures: Figures, name: str) -> None:
    sha = loop.ecr.release(f"API server of {name} restarted")
    loop.command("promote", sha)
    loop.wait_live("staging")
    with (
        figures.timed("drills", f"API server of {name} restarted during a promotion"),
        loop.watched("production") as pods,
    ):
        loop.command("promote", sha)
        loop.servers[name].process.restart()
        loop.wait("production at the tip", lambda: loop.is_live("production"), RETRIES)
        assert loop.written("production").startswith(sha)
    assert min(pods) >= 3


def test_the_remote_is_unreachable(loop: Loop, figures: Figures) -> None:
    pushed, refused = loop.ecr.release("just before the outage"), loop.ecr.release("during the outage")
    with figures.timed("drills", f"git remote unreachable for {OUTAGE:.0f} s"), loop.watched("staging") as pods:
        loop.git.pushed = lambda repository, before, after: _fail_first(loop, repository, before, after)
        ends = time.monotonic() + OUTAGE
        loop.command("promote", pushed, "--env", "staging")
        loop.wait("the outage", lambda: not loop.git.reachable)
        tip = loop.tip
        said = loop.command("promote", refused, "--env", "staging", expect=2)
        assert "repository/unreachable" in said or "can't be reached" in said, said
        assert loop.tip == tip
        loop.wait("Argo CD's complaint", lambda: "503" in loop.complaint(f"{APPLICATION}-staging"))
        while time.monotonic() < ends:
            assert len(loop.running("staging")) == 2
            time.sleep(1)
        loop.git.reachable = True
        loop.wait_live("staging")
        assert loop.written("staging").startswith(pushed)
    assert min(pods) >= 2


def _fail_first(loop: Loop, repository: str, before: str, after: str) -> None:
    """The remote goes away between the push and its webhook."""
    loop.git.reachable = False
    loop.deliver(repository, before, after)


def test_webhooks_are_lost_and_late(loop: Loop, figures: Figures) -> None:
    lost, next_one = loop.ecr.release("webhook lost"), loop.ecr.release("the next")
    with figures.timed("drills", "webhook lost, then delivered after the next one's"):
        before = loop.tip
        loop.git.pushed = None
        loop.command("promote", lost, "--env", "staging")
        between = loop.tip
        loop.git.pushed = loop.deliver
        loop.command("promote", next_one, "--env", "staging")
        loop.wait_live("staging")
        push_event(loop.argocd.webhook, loop.secret, loop.url, before, between)
        loop.argocd.look(f"{APPLICATION}-staging")
        assert loop.is_live("staging")
        assert loop.written("staging").startswith(next_one)


def test_a_webhook_that_is_not_signed_moves_nothing(loop: Loop, figures: Figures) -> None:
    sha = loop.ecr.release("unsigned webhook")
    with figures.timed("drills", "webhook with a wrong signature"):
        loop.git.pushed = None
        before = loop.tip
        loop.command("promote", sha, "--env", "staging")
        with pytest.raises(OSError, match="400"):
            push_event(loop.argocd.webhook, "another secret", loop.url, before, loop.tip)
        loop.deliver(loop.url, before, loop.tip)
        loop.wait_live("staging")


def test_two_promotions_during_one_sync(loop: Loop, figures: Figures) -> None:
    one, other = loop.ecr.release("one of two"), loop.ecr.release("the other")
    with figures.timed("drills", "two promotions during one sync"), loop.watched("staging") as pods:
        before = loop.tip
        said = _at_once(loop, one, other)
        log = loop.sandbox.git("--git-dir", str(loop.sandbox.remote), "log", "--format=%s", f"{before}..main")
        assert sorted(log.splitlines()) == sorted(
            f"Promote {APPLICATION} {each[:12]} to staging" for each in (one, other)
        ), said
        loop.wait_live("staging")
        assert loop.written("staging").startswith((one, other))
    assert min(pods) >= 2


def _at_once(loop: Loop, *shas: str) -> list[str]:
    """`promote` to staging for each, at the same time, as several people would."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda sha: loop.command("promote", sha, "--env", "staging"), shas))


def test_the_remotes_hook_refuses_a_push(loop: Loop, figures: Figures) -> None:
    sha = loop.ecr.release("refused by a hook")
    with figures.timed("drills", "push refused by the remote's hook"), loop.watched("staging") as pods:
        before, ran = loop.tip, loop.running("staging")
        loop.hook.parent.mkdir(exist_ok=True)
        loop.hook.write_text("#!/bin/sh\necho 'main is closed for the audit' >&2\nexit 1\n")
        loop.hook.chmod(0o755)
        said = loop.command("promote", sha, "--env", "staging", expect=2)
        assert "main is closed for the audit" in said
        assert (loop.tip, loop.running("staging")) == (before, ran)
        loop.hook.unlink()
        loop.command("promote", sha, "--env", "staging")
        loop.wait_live("staging")
        assert loop.written("staging").startswith(sha)
    assert min(pods) >= 2


def test_git_wins_against_a_manual_rollback(loop: Loop, figures: Figures) -> None:
    sha, name = loop.ecr.release("git wins"), f"{APPLICATION}-staging"
    loop.command("promote", sha, "--env", "staging")
    loop.wait_live("staging")
    with figures.timed("drills", "auto-sync against a rollback by Argo CD's button"):
        number, older = list(loop.argocd.syncs(name).items())[-2]
        answer = loop.argocd.press_rollback(name, number)
        assert not answer.ok
        assert "auto-sync is enabled" in answer.text
        assert loop.is_live("staging")
    with figures.timed("drills", "auto-sync against a sync to an older revision by hand"):
        known = loop.argocd.syncs(name)
        loop.argocd.sync_by_hand(name, older)
        loop.wait("the older revision's sync", lambda: older in _new(loop.argocd.syncs(name), known))
        loop.wait_live("staging")
        assert loop.written("staging").startswith(sha)
    with figures.timed("drills", "auto-sync against `kubectl rollout undo`"):
        generation = loop.deployment("staging")["metadata"]["generation"]
        command = ["kubectl", "--kubeconfig", loop.servers["staging"].kubeconfig, "--namespace", "staging"]
        subprocess.run([*command, "rollout", "undo", f"deployment/{APPLICATION}"], check=True, capture_output=True)
        # One generation more is the undo, two are Argo CD's answer to it.
        loop.wait("Argo CD's answer", lambda: loop.deployment("staging")["metadata"]["generation"] >= generation + 2)
        loop.wait_live("staging")
        assert loop.written("staging").startswith(sha)


def _new(syncs: dict[int, str], known: dict[int, str]) -> list[str]:
    return [revision for number, revision in syncs.items() if number not in known]
