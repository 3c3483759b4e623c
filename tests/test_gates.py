"""What may be promoted when: the windows against a reference that looks at every minute, and every refusal."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from koepon_gitops import gates
from koepon_gitops.errors import GitOpsError, ManifestError, RequestError
from koepon_gitops.freezes import Freeze
from koepon_gitops.gates import PromotionPolicy, Running
from koepon_gitops.model import Value

SHA = "4b7e1c09a5d2f3864e0b9c7d1a2f5e8063b4d7c1"
OLD = "5" * 40
NOON = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # in Tokyo
REPOSITORY = Path(__file__).parent.parent
WRITTEN = REPOSITORY / "policies" / "promotion.yaml"


@pytest.fixture(scope="module")
def policy() -> PromotionPolicy:
    return gates.load(WRITTEN)


def test_the_repository_has_a_policy_that_fits_its_folders(policy: PromotionPolicy) -> None:
    assert policy.order == ("staging", "production")
    assert policy.followers("production") == ("dr",)
    application = policy.application()
    assert (application.name, application.image) == ("koepon-app", "koepon/app")
    for folder in application.overlays.values():
        assert (REPOSITORY / folder / "kustomization.yaml").is_file()


class Lifted(Value):
    reason: str
    commit: str
    time: datetime


def refusal(policy: PromotionPolicy, environment: str = "production", **given: Any) -> GitOpsError:
    arguments: dict[str, Any] = {
        "running": {"staging": Running(tag=SHA, since=NOON - timedelta(hours=1))},
        "quarantined": None,
        "now": NOON,
        **given,
    }
    with pytest.raises(GitOpsError) as caught:
        gates.check(policy, environment, SHA, **arguments)
    assert (type(caught.value), caught.value.exit_code) == (RequestError, 2)
    return caught.value


def test_what_is_allowed(policy: PromotionPolicy) -> None:
    gates.check(policy, "staging", SHA, {}, None, NOON)
    soaked = {"staging": Running(tag=SHA, since=NOON - timedelta(minutes=30))}
    gates.check(policy, "production", SHA, soaked, None, NOON)


BACKUP = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
REFUSALS: dict[str, dict[str, Any]] = {
    "order-other": {"running": {"staging": Running(tag=OLD, since=NOON)}},
    "order-none": {"running": {"production": Running(tag=SHA, since=NOON)}},
    "soak": {"running": {"staging": Running(tag=SHA, since=NOON - timedelta(minutes=12, seconds=20))}},
    "soak-a-second": {"running": {"staging": Running(tag=SHA, since=NOON - timedelta(minutes=29, seconds=59))}},
    "soak-clocks-differ": {"running": {"staging": Running(tag=SHA, since=NOON + timedelta(minutes=2))}},
    "frozen": {"now": BACKUP, "running": {"staging": Running(tag=SHA, since=BACKUP - timedelta(hours=1))}},
    "quarantined": {
        "quarantined": Lifted(reason="500s on /api/login.", commit="ab" * 20, time=NOON - timedelta(days=1))
    },
    "unknown-environment": {"environment": "prod"},
    "unknown-environment-follower": {"environment": "dr"},
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(policy: PromotionPolicy, case: str, snapshot: SnapshotAssertion) -> None:
    error = refusal(policy, **REFUSALS[case])
    assert case.startswith(error.rule.removeprefix("gates/"))
    assert str(error) == snapshot


def test_the_promised_time_is_kept(policy: PromotionPolicy) -> None:
    """One second before the end of a window is refused, the end is not."""
    running = {"staging": Running(tag=SHA, since=BACKUP - timedelta(days=1))}
    end = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
    assert "04:00 JST" in str(refusal(policy, running=running, now=end - timedelta(seconds=1)))
    gates.check(policy, "production", SHA, running, None, end)


def test_several_windows_and_applications(policy: PromotionPolicy, snapshot: SnapshotAssertion) -> None:
    data = written()
    data["applications"]["other"] = data["applications"]["koepon-app"]
    data["environments"][0]["freezes"] = [
        {"reason": "lunch", "from": "11:00", "to": "13:00", "timezone": "Asia/Tokyo"},
        {"reason": "fair", "from": "2026-11-24T00:00", "to": "2026-11-25T12:00", "timezone": "Europe/Berlin"},
    ]
    several = parsed(data)
    assert str(refusal(several, "staging")) == snapshot
    assert several.application("other").name == "other"
    for name in (None, "third"):
        with pytest.raises(RequestError) as caught:
            several.application(name)
        assert str(caught.value) == snapshot


def written() -> dict[str, Any]:
    return dict(yaml.safe_load(WRITTEN.read_bytes()))


def parsed(data: Any) -> PromotionPolicy:
    return gates.read(yaml.safe_dump(data, sort_keys=False).encode(), "policies/promotion.yaml")


def put(*path: str | int) -> Callable[[Any], Callable[[Any], None]]:
    """A change of the policy: the value at this path becomes another, or goes when it is Ellipsis."""

    def with_value(value: Any) -> Callable[[Any], None]:
        def change(data: Any) -> None:
            for part in path[:-1]:
                data = data[part]
            if value is ...:
                del data[path[-1]]
            else:
                data[path[-1]] = value

        return change

    return with_value


PRODUCTION = ("environments", 1)
OVERLAYS = ("applications", "koepon-app", "overlays")
FREEZE = (*PRODUCTION, "freezes", 0)
WRONG: dict[str, Callable[[Any], None]] = {
    "misspelt": put("enviroments")([]),
    "no-region": put("registry", "region")(...),
    "region": put("registry", "region")("Tokyo; rm"),
    "image": put("applications", "koepon-app", "image")("https://evil/app"),
    "application-name": put("applications", "--app")({"image": "a", "overlays": {"staging": "a"}}),
    "no-applications": put("applications")({}),
    "overlay-absolute": put(*OVERLAYS, "staging")("/etc"),
    "overlay-up": put(*OVERLAYS, "staging")("apps/../../x"),
    "overlay-option": put(*OVERLAYS, "staging")("--help"),
    "overlay-empty": put(*OVERLAYS, "staging")(""),
    "overlay-newline": put(*OVERLAYS, "staging")("apps/a\nb"),
    "overlay-backslash": put(*OVERLAYS, "staging")("apps\\a"),
    "overlay-number": put(*OVERLAYS, "staging")(3),
    "overlay-environment": put(*OVERLAYS, "prod")("apps/prod"),
    "overlay-before": put(*OVERLAYS, "staging")(...),
    "after-unknown": put(*PRODUCTION, "after")("stagin"),
    "after-follower": put(*PRODUCTION, "after")("dr"),
    "after-itself": put(*PRODUCTION, "after")("production"),
    "cycle": put("environments", 0, "after")("production"),
    "same-name": put(*PRODUCTION, "name")("staging"),
    "follows-unknown": put("environments", 2, "follows")("x"),
    "follows-and-soak": put("environments", 2, "soak")(5),
    "soak-negative": put(*PRODUCTION, "soak")(-1),
    "soak-text": put(*PRODUCTION, "soak")("30"),
    "soak-alone": put("environments", 0, "soak")(5),
    "time": put(*FREEZE, "from")("3:00"),
    "time-late": put(*FREEZE, "from")("24:30"),
    "time-sexagesimal": put(*FREEZE, "from")(180),
    "time-unicode": put(*FREEZE, "from")("٠٣:٠٠"),
    "time-same": put(*FREEZE, "to")("03:00"),
    "date-impossible": put(*FREEZE, "to")("2026-02-30T00:00"),
    "date-and-time": put(*FREEZE, "to")("2026-02-20T00:00"),
    "date-backwards": put(FREEZE[0], 1, "freezes", 0)(
        {"reason": "x", "from": "2026-02-20T00:00", "to": "2026-02-19T00:00", "timezone": "UTC"}
    ),
    "timezone": put(*FREEZE, "timezone")("Tokyo"),
    "timezone-path": put(*FREEZE, "timezone")("../../etc/passwd"),
    "timezone-folder": put(*FREEZE, "timezone")("America"),
    "days": put(*FREEZE, "days")(["monday"]),
    "reason": put(*FREEZE, "reason")("  "),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_policy_that_is_wrong(case: str, snapshot: SnapshotAssertion) -> None:
    data = written()
    WRONG[case](data)
    with pytest.raises(ManifestError) as caught:
        parsed(data)
    assert caught.value.rule == "gates/invalid"
    assert str(caught.value) == snapshot


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"# nothing\n"])
def test_a_policy_that_is_no_policy(text: bytes) -> None:
    with pytest.raises(ManifestError, match="registry, applications and environments"):
        gates.read(text, "policies/promotion.yaml")


def test_the_line_is_that_of_the_key() -> None:
    text = WRITTEN.read_bytes()
    line = text.splitlines().index(b"    soak: 30") + 1
    with pytest.raises(ManifestError) as caught:
        gates.read(text.replace(b"soak: 30", b"soak: half an hour"), "promotion.yaml")
    assert caught.value.where == f"promotion.yaml:{line}"
    with pytest.raises(ManifestError, match="is already on line"):
        gates.read(text.replace(b"soak: 30", b"name: x"), "promotion.yaml")


def test_files_that_are_not_there(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    with pytest.raises(RequestError) as caught:
        gates.load(folder / "promotion.yaml")
    assert caught.value.rule == "gates/missing"
    assert str(caught.value) == snapshot
    (folder / "promotion.yaml").symlink_to(WRITTEN)
    with pytest.raises(ManifestError, match="not a file of the repository"):
        gates.load(folder / "promotion.yaml")


# Clocks put on and back by an hour (New York), by half an hour (Lord Howe), at midnight (Beirut), never (Tokyo).
ZONES = st.sampled_from(["America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Tokyo", "UTC"])
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIMES = st.integers(0, 24 * 60 - 1).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}")
AROUND = st.sampled_from(
    [date(2026, 3, 8), date(2026, 11, 1), date(2026, 4, 5), date(2026, 10, 4), date(2026, 3, 29), date(2026, 10, 25)]
)
NOWS = st.builds(
    lambda day, seconds: datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=seconds),
    AROUND,
    st.integers(-86400, 2 * 86400),
)


def holds(wall: datetime, start: str, end: str, days: set[str]) -> bool:
    """The daily window in the words of its definition."""
    time, today, yesterday = f"{wall:%H:%M}", DAYS[wall.weekday()], DAYS[wall.weekday() - 1]
    if start < end:
        return today in days and start <= time < end
    return (today in days and time >= start) or (yesterday in days and time < end)


@given(TIMES, TIMES | st.just("24:00"), ZONES, st.sets(st.sampled_from(DAYS)), NOWS)
def test_daily_windows(start: str, end: str, zone: str, days: set[str], now: datetime) -> None:
    assume(start != end)
    freeze = Freeze.model_validate({"reason": "r", "from": start, "to": end, "timezone": zone, "days": tuple(days)})
    every = days or set(DAYS)
    assume((start, end, len(every)) != ("00:00", "24:00", 7))

    def frozen(moment: datetime) -> bool:
        return holds(moment.astimezone(ZoneInfo(zone)), start, end, every)

    until = freeze.ends(now)
    assert (until is not None) == frozen(now)
    if until is not None:
        walls = [now.replace(second=0).astimezone(ZoneInfo(zone))]
        while frozen(walls[-1]):
            walls.append((walls[-1].astimezone(UTC) + timedelta(minutes=1)).astimezone(ZoneInfo(zone)))
        put_back = any(later.replace(tzinfo=None) < wall.replace(tzinfo=None) for wall, later in pairwise(walls))
        assert until == walls[-1] or (put_back and until > walls[-1])


def test_a_window_without_end_ends_some_day() -> None:
    freeze = Freeze.model_validate({"reason": "r", "from": "00:00", "to": "24:00", "timezone": "UTC"})
    assert freeze.ends(NOON) == datetime(2026, 12, 2, tzinfo=UTC)


@given(NOWS, ZONES, NOWS, NOWS)
def test_windows_of_dates(now: datetime, zone: str, one: datetime, other: datetime) -> None:
    start, end = sorted(f"{each:%Y-%m-%dT%H:%M}" for each in (one, other))
    assume(start != end)
    freeze = Freeze.model_validate({"reason": "r", "from": start, "to": end, "timezone": zone})

    def wall(moment: datetime) -> str:
        return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"

    until = freeze.ends(now)
    assert (until is not None) == (start <= wall(now) < end)
    if until is not None:
        assert wall(until) >= end
        assert wall(until.astimezone(UTC) - timedelta(minutes=1)) < end
