"""A real API server says whether this library is right: on the tree as it is, and on the tree spoilt."""

import json
from collections import Counter

import pytest

from tests.e2e import judging, mutants, truth
from tests.e2e.control_plane import ApiServer
from tests.e2e.stage import Stage, Tree


@pytest.fixture(scope="module")
def tree() -> Tree:
    """The tree, rendered once."""
    return Tree()


@pytest.fixture(scope="module")
def stage(api: ApiServer, tree: Tree) -> Stage:
    """The API server with the tree's definitions and policies."""
    return Stage(api, tree)


def test_accepts(stage: Stage, tree: Tree) -> None:
    """Every object of every environment, by a strict dry run, in its own cluster's Namespaces."""
    refused = []
    for cluster, manifests in sorted(tree.clusters.items()):
        stage.set(cluster)
        for manifest in manifests:
            verdict = judging.of_answer(stage.ask(manifest, json.dumps(manifest.content).encode()))
            if verdict != judging.Verdict():
                refused.append(f"{cluster} {manifest.id}: {verdict.why}")
    assert refused == []
    assert {"staging", "production", "dr", "in-cluster"} <= tree.clusters.keys()


def test_the_mutants_are_many_different_and_the_same_again(tree: Tree) -> None:
    one, two = (mutants.generate(list(tree.manifests), 1, 500) for _ in range(2))
    assert one == two
    assert len({(each.base.cluster, each.base.id.kind, each.text) for each in one}) == 500
    assert {each.operator for each in one} >= {*mutants.OPERATORS, "two of these"}
    assert {each.base.id.kind for each in one} == {each.id.kind for each in tree.manifests}


def test_both_judges_agree_on_the_mutants(stage: Stage, tree: Tree) -> None:
    found = truth.judged(tree, truth.COUNT, truth.SEED, lambda: stage)
    unexplained = [str(each) for each in found if not each.agrees and not each.limitation]
    assert len(found) == truth.COUNT >= 5000
    assert not unexplained, "\n".join(unexplained[:20])
    words = Counter(each.server.word for each in found)
    assert min(words[word] for word in ("accept", "unknown field", "reject", "deny")) > 50, words
    print(truth.page(tree, found, truth.SEED))


def test_a_difference_would_be_seen(stage: Stage, tree: Tree) -> None:
    """An offline judge without policies, and one that takes everything, both disagree with the server."""
    found = truth.judged(tree, truth.COUNT, truth.SEED, lambda: stage)
    blind = [each._replace(offline=each.offline._replace(denied=frozenset())) for each in found]
    meek = [each._replace(offline=judging.Verdict()) for each in found]
    assert sum(not each.agrees for each in blind) == sum(each.server.word == "deny" for each in found)
    assert sum(not each.agrees for each in meek) == sum(each.server.word != "accept" for each in found)
