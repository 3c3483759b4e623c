"""What ran when, and what may not run again, out of real commits."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from koepon_gitops import history, pins
from koepon_gitops.errors import ManifestError, RequestError
from koepon_gitops.history import Action, Deployment, Quarantine
from koepon_gitops.manifests import read_data
from koepon_gitops.messages import trailers, with_trailers
from koepon_gitops.model import Image
from tests.conftest import Clone

FOLDER = "apps/shop/overlays/production"
FILE = f"{FOLDER}/kustomization.yaml"
STAGING = "apps/shop/overlays/staging/kustomization.yaml"
ECR = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/shop"


def tag(letter: str) -> str:
    return letter * 40


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def overlay(letter: str, extra: str = "") -> str:
    return (
        f"resources:\n  - ../../base\nimages:\n  - name: shop\n    newName: {ECR}\n    newTag: {tag(letter)}\n"
        f"    digest: {digest(letter)}\n{extra}"
    )


def release(clone: Clone, letter: str, action: str = "promotion", file: str = FILE, **more: str) -> str:
    values = {"Koepon-Action": action, "Koepon-Application": "shop"} | {
        f"Koepon-{key.replace('_', '-').title()}": value for key, value in more.items()
    }
    return clone.commit({file: overlay(letter)}, with_trailers(f"{action} {letter}", "", values))


def timeline(clone: Clone, file: str = FILE) -> tuple[Deployment, ...]:
    return history.timeline(clone.repository, "HEAD", file, "shop")


def quarantine(clone: Clone) -> dict[str, Quarantine]:
    return dict(history.quarantine(clone.repository, "HEAD", "shop", [FILE, STAGING], "shop"))


def bad(clone: Clone) -> set[str]:
    return {each[0] for each in quarantine(clone)}


# Timeline


def test_each_change_of_the_image_is_a_deployment(clone: Clone) -> None:
    first = release(clone, "a")
    clone.commit({FILE: overlay("a", "namespace: shop\n"), "README.md": "else"}, "Not the image")
    second = release(clone, "b")
    release(clone, "c", file=STAGING)
    clone.commit({FILE: overlay("c")}, "By hand")
    back = release(clone, "b", "rollback", quarantine=tag("c"))
    newest, edited, *rest = timeline(clone)
    assert newest == Deployment(
        commit=back,
        time=datetime(2026, 1, 1, 18, 4, 5, tzinfo=UTC),
        image=Image(name=ECR, tag=tag("b"), digest=digest("b")),
        action=Action.ROLLBACK,
        quarantined=tag("c"),
        author="Aoi Tester",
        subject="rollback b",
    )
    assert (edited.action, edited.subject) == (Action.EDIT, "By hand")
    assert [each.commit for each in rest] == [second, first]


def test_a_merged_pull_request_is_one_commit(clone: Clone) -> None:
    release(clone, "a")
    clone.git("checkout", "--quiet", "-b", "side")
    release(clone, "b")
    release(clone, "c")
    clone.git("checkout", "--quiet", "main")
    clone.commit({"other": "1"})
    clone.git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #1", "side")
    assert [(each.image.tag[0], each.subject) for each in timeline(clone)] == [
        ("c", "Merge pull request #1"),
        ("a", "promotion a"),
    ]


def test_a_hand_made_revert_is_recognised(clone: Clone) -> None:
    release(clone, "a")
    commit = release(clone, "b")
    clone.git("revert", "--no-edit", commit)
    newest = timeline(clone)[0]
    assert (newest.action, newest.reverts, newest.quarantined) == (Action.REVERT, commit, tag("b"))
    assert newest.image.tag == tag("a")


def test_renamed_broken_and_untagged_kustomizations(clone: Clone) -> None:
    release(clone, "a")
    clone.git("mv", FILE, f"{FOLDER}/Kustomization")
    clone.commit({}, "Rename only")
    clone.commit({f"{FOLDER}/Kustomization": "images: [\n"}, "Break")
    clone.commit({f"{FOLDER}/Kustomization": "images:\n- name: shop\n- name: other\n  newTag: x\n"}, "Untag")
    clone.commit({f"{FOLDER}/Kustomization": overlay("a")}, "Mend")
    release(clone, "b", file=f"{FOLDER}/Kustomization")
    assert [each.image.tag[0] for each in timeline(clone)] == ["b", "a"]
    assert timeline(clone, f"{FOLDER}/Kustomization") == timeline(clone)


def test_nothing_pinned_is_an_empty_timeline(clone: Clone) -> None:
    assert timeline(clone) == ()
    assert quarantine(clone) == {}


def test_a_shallow_clone_can_not_tell(clone: Clone, new_clone: Callable[..., Clone]) -> None:
    for letter in "abc":
        release(clone, letter)
    clone.push()
    shallow = new_clone("shallow", "--depth=2")
    for call in (timeline, quarantine):
        with pytest.raises(RequestError, match="git fetch --unshallow") as caught:
            call(shallow)
        assert caught.value.rule == "history/shallow"
    shallow.git("fetch", "--quiet", "--unshallow")
    assert len(timeline(shallow)) == 3


def test_hostile_messages_and_names_stay_data(clone: Clone) -> None:
    release(clone, "a")
    body = ":100644 100644 a b M\n" + tag("f") + "\n\x1e\x1f"
    clone.commit({FILE: overlay("b")}, f"{tag('e')}\n\n{body}\n\nKoepon-Action: rollback\n\nnot the last paragraph")
    newest = timeline(clone)[0]
    assert (newest.action, newest.subject, newest.image.tag) == (Action.EDIT, tag("e"), tag("b"))


# Lineage


def ran(images: str, actions: list[Action] | None = None) -> tuple[Deployment, ...]:
    """A timeline out of letters, oldest first."""
    return tuple(
        Deployment(
            commit=str(index),
            time=datetime(2026, 1, 1, tzinfo=UTC),
            image=Image(name="shop", tag=tag(letter), digest=digest(letter)),
            action=actions[index] if actions else Action.PROMOTION,
            author="Aoi",
            subject="",
        )
        for index, letter in enumerate(images)
    )[::-1]


def led(images: str) -> str:
    return "".join(each.image.tag[0] for each in history.lineage(ran(images)))[::-1]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ("", ""),
        ("a", "a"),
        ("abc", "abc"),
        ("abca", "a"),
        ("abcab", "ab"),
        ("abcb", "ab"),
        ("abacb", "ab"),
        ("abac", "ac"),
    ],
)
def test_going_back_leaves_what_first_ran_later(images: str, expected: str) -> None:
    assert led(images) == expected


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(Action))).map(
        lambda steps: [step for index, step in enumerate(steps) if not index or step[0] != steps[index - 1][0]]
    )
)
def test_nothing_in_a_lineage_is_newer_than_what_runs(steps: list[tuple[str, Action]]) -> None:
    images = "".join(letter for letter, _ in steps)
    found = [each.image.tag[0] for each in history.lineage(ran(images, [action for _, action in steps]))]
    assert found[:1] == [*images[-1:]]
    places = [images.index(letter) for letter in found]
    assert places == sorted(set(places), reverse=True)


# Quarantine


def test_a_rollback_quarantines_until_it_is_lifted(clone: Clone) -> None:
    release(clone, "a")
    release(clone, "b")
    back = release(clone, "a", "rollback", quarantine=tag("b"))
    assert quarantine(clone)[tag("b")] == Quarantine(
        tag=tag("b"), reason="rollback a", commit=back, time=datetime(2026, 1, 1, 18, 4, 5, tzinfo=UTC)
    )
    release(clone, "b", lift_quarantine=tag("b"), reason="It was the cable")
    assert bad(clone) == set()
    release(clone, "a", "rollback", quarantine=tag("b"), reason="It was not the cable")
    assert quarantine(clone)[tag("b")].reason == "It was not the cable"


def test_another_application_s_quarantine_is_its_own(clone: Clone) -> None:
    message = f"x\n\nKoepon-Application: other\nKoepon-Quarantine: {tag('b')}\n"
    clone.commit({"a": ""}, message)
    assert bad(clone) == set()
    clone.commit({"a": "1"}, f"x\n\nkoepon-quarantine: {tag('c')}\n")
    assert bad(clone) == {"c"}


def test_a_hand_made_revert_quarantines_in_any_overlay(clone: Clone) -> None:
    release(clone, "a", file=STAGING)
    commit = release(clone, "b", file=STAGING)
    clone.git("revert", "--no-edit", commit)
    assert bad(clone) == {"b"}


def test_undoing_a_revert_lifts_and_quarantines_nothing(clone: Clone) -> None:
    release(clone, "a")
    commit = release(clone, "b")
    clone.git("revert", "--no-edit", commit)
    clone.git("revert", "--no-edit", "HEAD")
    assert timeline(clone)[0].image.tag == tag("b")
    assert timeline(clone)[0].quarantined == ""
    assert bad(clone) == {"b"}
    back = release(clone, "a", "rollback", quarantine=tag("b"))
    clone.git("revert", "--no-edit", back)
    assert bad(clone) == {"b"}


def test_a_revert_that_leaves_the_tag_quarantines_nothing(clone: Clone) -> None:
    release(clone, "a")
    commit = release(clone, "b")
    clone.commit({FILE: overlay("b", "namespace: shop\n")}, f"Pretend\n\nThis reverts commit {commit}.")
    other = clone.commit({"README.md": "other"}, "Other")
    clone.commit({FILE: overlay("c")}, f"Promote, and undo something else\n\nThis reverts commit {other}.")
    assert bad(clone) == set()


def test_a_revert_of_a_commit_that_is_gone_is_taken_at_its_word(clone: Clone) -> None:
    release(clone, "b")
    clone.commit({FILE: overlay("a")}, f"Revert\n\nThis reverts commit {tag('9')}.")
    assert bad(clone) == {"b"}


def test_reverts_of_and_within_merges_count(clone: Clone) -> None:
    release(clone, "a")
    clone.git("checkout", "--quiet", "-b", "side")
    release(clone, "b")
    clone.git("checkout", "--quiet", "main")
    clone.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    clone.git("checkout", "--quiet", "-b", "undo")
    clone.git("revert", "--no-edit", "-m", "1", "HEAD")
    clone.git("checkout", "--quiet", "main")
    assert bad(clone) == set()
    clone.git("merge", "--quiet", "--no-ff", "--no-edit", "undo")
    assert bad(clone) == {"b"}


def test_a_pull_request_can_not_lift_unseen(clone: Clone) -> None:
    release(clone, "a", "rollback", quarantine=tag("b"))
    clone.git("checkout", "--quiet", "-b", "side")
    clone.commit({"README.md": "harmless"}, f"Typo\n\nKoepon-Lift-Quarantine: {tag('b')}\n")
    clone.git("checkout", "--quiet", "main")
    clone.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    assert bad(clone) == {"b"}
    clone.commit({}, f"Seen\n\nKoepon-Lift-Quarantine: {tag('b')}\nKoepon-Reason: it was the cable\n")
    assert bad(clone) == set()


# Trailers

LINES = st.sampled_from(
    [
        "",
        "  ",
        "Title",
        "Key: v",
        "key-two : x",
        "  folded",
        "\tfold",
        "plain text",
        "---",
        "-x: y",
        "a b: c",
        "Key:",
        "Signed-off-by: A <a@b>",
        "(cherry picked from commit abc)",
        "# comment",
        "#: x",
        "é: x",
        "Key: v: w",
        "Koepon-Action: rollback",
        " Koepon-Action: x",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=9).map("\n".join))
@example("Title\n\nKoepon-Action: rollback\n\nnot trailers")
@example("Koepon-Action: rollback")
def test_trailers_are_read_as_git_reads_them(git_environment: object, message: str) -> None:
    command = ["git", "interpret-trailers", "--parse", "--no-divider"]
    done = subprocess.run(command, input=message, capture_output=True, text=True, check=True)
    parts = (line.partition(":") for line in done.stdout.splitlines())
    assert dict(trailers(message)) == {key: value.strip() for key, _, value in parts}


KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,9}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(WORDS, st.text(max_size=60), st.dictionaries(KEYS, WORDS, min_size=1, max_size=4))
@example("Subject", "body\n\nKoepon-Lift-Quarantine: x", {"Koepon-Action": "promotion"})
def test_written_trailers_are_read_back_or_refused(subject: str, body: str, values: dict[str, str]) -> None:
    try:
        message = with_trailers(subject, body, values)
    except RequestError as error:
        assert error.rule == "messages/invalid"
    else:
        assert dict(trailers(message)) == values
        assert message.partition("\n")[0] == subject.strip()


@pytest.mark.parametrize("value", ["", "a\nKoepon-Action: x", "\x1b[31m", " a"])
def test_values_that_do_not_fit_on_a_line_are_refused(value: str) -> None:
    with pytest.raises(RequestError, match="can't be a line"):
        with_trailers("Subject", "", {"Koepon-Reason": value})


# Pins

AROUND = st.sampled_from(
    [
        "images:",
        "  images:",
        'x: "',
        "k': 'open",
        "patch: |-",
        "    a: b",
        'y: "a"',
        "z: {",
        "# it's",
        "---",
        "*a",
        "x: 'it''s'",
        '"images": 1',
    ]
)
ENTRIES = st.sampled_from(
    [
        "  - name: shop",
        "- name: shop",
        "    newTag: abcdef1",
        "  newTag: 1e5",
        "    newTag: 0xaf",
        "    newTag: 0b1",
        "  newTag: 12345678",
        "    newName: host:5000/shop",
        "    newTag: 'a'",
        "  - name: on",
        "    newTag: yes",
        "    newTag: abc # c",
        "    # newTag: b",
        "",
        "    newTag: 2001-12-14t21:59:43.10-05:00",
        "    newTag: 1_000",
        "    newTag: .inf",
        "  - name: a:b",
    ]
)


@settings(max_examples=600)
@given(
    st.tuples(st.lists(AROUND, max_size=3), st.lists(ENTRIES, max_size=5), st.lists(AROUND, max_size=3)).map(
        lambda parts: "\n".join([*parts[0], "images:", *parts[1], *parts[2], ""])
    )
)
@example(overlay("a"))
@example('images:\n- name: a\n  newTag: abc\nx: "\nimages:\n- name: a\n  newTag: def\n"\n')
def test_the_fast_reading_of_images_is_never_another(text: str) -> None:
    if (fast := pins._plain(text)) is not None:
        slow = _slowly(text)
        if slow is not None:
            assert fast == slow


def _slowly(text: str) -> object:

    try:
        return read_data(text.encode(), "x")["images"] or []
    except ManifestError:
        return None


def test_the_usual_overlay_is_read_fast() -> None:
    text = overlay("a", 'patches:\n  # A comment\n  - patch: |-\n      a: "b"\n')
    assert pins._plain(text) == [{"name": "shop", "newName": ECR, "newTag": tag("a"), "digest": digest("a")}]
