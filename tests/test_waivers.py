"""Waivers: what they cover, when they end, and what is said of one that is wrong."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import waivers
from koepon_gitops.model import Finding, ObjectId, Severity, Waived
from koepon_gitops.waivers import LONGEST, Waivers

TODAY = date(2026, 10, 1)
WAIVER = """\
  - rule: replicas
    application: koepon-*
    object: {kind: Deployment, namespace: production, name: "app*"}
    reason: One replica until the database moves.
    owner: platform@koepon.com
    ticket: KOE-12
    expires: 2026-12-31
"""


def load(root: Path, text: str | bytes) -> Waivers:
    file = root / "policies/waivers.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return waivers.load(file, root)


def finding(rule: str = "replicas", application: str = "koepon-app", name: str = "app", **more: object) -> Finding:
    id = ObjectId(apiVersion="apps/v1", kind="Deployment", namespace="production", name=name)
    fields = {
        "rule": rule,
        "severity": Severity.ERROR,
        "application": application,
        "object": id,
        "message": "One replica.",
    }
    return Finding.model_validate(fields | more)


def apply(
    loaded: Waivers, *findings: Finding, today: date = TODAY, whole: bool = True
) -> tuple[list[str], list[Waived]]:
    """What stands, as `rule path:line message remedy`, and what is waived."""
    kept, waived = waivers.apply(findings, loaded, today, whole=whole)
    return [f"{each.rule} {each.path}:{each.line} {each.message} {each.remedy}" for each in kept], waived


def test_a_waived_finding_carries_the_words_of_its_waiver(tmp_path: Path) -> None:
    kept, waived = apply(load(tmp_path, f"waivers:\n{WAIVER}"), finding())
    assert kept == []
    assert waived == [
        Waived(
            finding=finding(),
            reason="One replica until the database moves.",
            owner="platform@koepon.com",
            ticket="KOE-12",
            expires="2026-12-31",
        )
    ]


@pytest.mark.parametrize(
    "other",
    [
        finding(rule="replica"),
        finding(rule="REPLICAS"),
        finding(application="other"),
        finding(name="web"),
        finding(object=None),
        finding(object=ObjectId(apiVersion="v1", kind="Deployment", name="app")),
        finding(unchecked=True),
    ],
)
def test_what_it_does_not_name_stands(tmp_path: Path, other: Finding) -> None:
    kept, waived = waivers.apply([other, finding()], load(tmp_path, f"waivers:\n{WAIVER}"), TODAY)
    assert kept == [other]
    assert [each.finding for each in waived] == [finding()]


def test_without_application_and_object_it_covers_the_rule_everywhere(tmp_path: Path) -> None:
    lines = [line for line in WAIVER.splitlines() if "application" not in line and "object" not in line]
    loaded = load(tmp_path, "waivers:\n" + "\n".join(lines))
    kept, waived = apply(loaded, finding(application="any"), finding(object=None), finding(name="é"))
    assert (kept, len(waived)) == ([], 3)


@pytest.mark.parametrize(
    ("today", "rules"),
    [
        (date(2026, 12, 31), []),
        (date(2027, 1, 1), ["replicas", "waivers/expired"]),
        (date(2026, 12, 31) - LONGEST, []),
        (date(2026, 12, 31) - LONGEST - timedelta(1), ["waivers/too-long"]),
    ],
)
def test_the_days_on_which_it_holds(tmp_path: Path, today: date, rules: list[str]) -> None:
    kept, _ = apply(load(tmp_path, f"waivers:\n{WAIVER}"), finding(), today=today)
    assert [each.split()[0] for each in kept] == rules


def test_one_that_covers_nothing_is_named_unless_something_was_left_out(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"waivers:\n{WAIVER}")
    assert [each.split()[0] for each in apply(loaded)[0]] == ["waivers/unused"]
    assert apply(loaded, whole=False)[0] == []
    undecided = finding(unchecked=True)
    assert [each.split()[0] for each in apply(loaded, undecided)[0]] == ["replicas"]


def test_one_finding_uses_every_waiver_that_covers_it(tmp_path: Path) -> None:
    broad = WAIVER.replace("koepon-*", "'*'").replace("KOE-12", "KOE-13")
    kept, waived = apply(load(tmp_path, f"waivers:\n{WAIVER}{broad}"), finding())
    assert (kept, [each.ticket for each in waived]) == ([], ["KOE-12"])


def test_a_waiver_written_twice_is_named_once_for_each_line(tmp_path: Path) -> None:
    kept, _ = apply(load(tmp_path, f"waivers:\n{WAIVER}{WAIVER}"))
    assert [each.split()[1] for each in kept] == ["policies/waivers.yaml:2", "policies/waivers.yaml:9"]


@pytest.mark.parametrize("text", ["", "# none\n", "waivers:\n", "waivers: []\n", "---\nwaivers: []\n"])
def test_no_waivers(tmp_path: Path, text: str) -> None:
    assert apply(load(tmp_path, text), finding()) == ([apply(Waivers(), finding())[0][0]], [])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert waivers.load(tmp_path / "waivers.yaml", tmp_path) == Waivers()


def without(key: str) -> str:
    lines = WAIVER.splitlines(keepends=True)
    return "waivers:\n  -\n" + "".join(line for line in lines if f" {key}:" not in line).replace("  - rule", "    rule")


WRONG: dict[str, str | bytes] = {
    **{f"no {key}": without(key) for key in ("rule", "reason", "owner", "ticket", "expires")},
    "an empty reason": f"waivers:\n{WAIVER}".replace("One replica until the database moves.", "' '"),
    "an unknown key": f"waivers:\n{WAIVER}    until: 2026-12-31\n",
    "an unknown key of the object": f"waivers:\n{WAIVER}".replace("kind:", "kinds:"),
    "a day that is none": f"waivers:\n{WAIVER}".replace("2026-12-31", "2026-02-30"),
    "a day in words": f"waivers:\n{WAIVER}".replace("2026-12-31", "tomorrow"),
    "a year": f"waivers:\n{WAIVER}".replace("2026-12-31", "2026"),
    "a waiver of waivers": f"waivers:\n{WAIVER}".replace("replicas", "waivers/expired", 1),
    "a rule that is empty": f"waivers:\n{WAIVER}".replace("replicas", "''", 1),
    "a list of text": "waivers:\n- replicas\n",
    "a mapping": "waivers: {replicas: all}\n",
    "another key": f"waivers:\n{WAIVER}exceptions: []\n",
    "a list alone": WAIVER,
    "text": "waive everything\n",
    "twice the same key": f"waivers:\n{WAIVER}    ticket: KOE-13\n",
    "bytes": b"\xff\xfe",
    "two documents": f"waivers:\n{WAIVER}---\nwaivers: []\n",
    "a merge": "waivers: []\n<<: {waivers: [{rule: a}, b]}\n",
    "aliases": f"waivers:\n{WAIVER}  - &a {{rule: a}}\n  - *a\n",
    "several at once": f"waivers:\n{WAIVER}  - {{rule: a}}\n  - 12\n",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_said_of_a_wrong_file(tmp_path: Path, name: str, snapshot: SnapshotAssertion) -> None:
    kept, _ = apply(load(tmp_path, WRONG[name]), finding(rule="other"), whole=False)
    assert "\n".join(each for each in kept if not each.startswith("other")) == snapshot


def test_what_is_said_of_each_waiver(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    loaded = load(
        tmp_path, f"waivers:\n{WAIVER}{WAIVER.replace('2026-12', '2025-12')}{WAIVER.replace('2026-12', '2027-12')}"
    )
    assert "\n".join(apply(loaded)[0]) == snapshot


@pytest.mark.parametrize("target", ["../outside.yaml", "/etc/hostname", "."])
def test_a_link_out_of_the_repository_is_not_read(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside.yaml").write_text(f"waivers:\n{WAIVER}")
    root = tmp_path / "root"
    root.mkdir()
    (root / "waivers.yaml").symlink_to(target)
    loaded = waivers.load(root / "waivers.yaml", root)
    assert [each.message for each in loaded.findings] == ["This is not a file of the repository."]
    assert loaded.entries == ()


def test_a_file_named_by_the_caller_may_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "waivers.yaml").write_text(f"waivers:\n{WAIVER}")
    loaded = waivers.load(tmp_path / "waivers.yaml", tmp_path / "root")
    assert (loaded.path, len(loaded.entries)) == ("waivers.yaml", 1)
