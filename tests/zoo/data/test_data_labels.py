from __future__ import annotations

import pytest
import torch

from adadfq_core.errors import InputError
from adadfq_core.zoo.data.labels import check_labels, network_labels

NETWORK = ("cat", "dog", "fox")


@pytest.mark.parametrize(
    ("labels", "classes", "network"),
    [
        ([0, 1, 2], (), NETWORK),
        ([0, 2], (), NETWORK),
        ([0, 1], ("dog", "fox"), NETWORK),
        ([0, 26], (), ()),
    ],
)
def test_possible_labels(
    labels: list[int], classes: tuple[str, ...], network: tuple[str, ...]
) -> None:
    check_labels("pets", torch.tensor(labels), classes, network)


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([], (), "pets holds no pictures"),
        ([0, -1], (), "pets has the label -1, which is no class"),
        ([2, 2, 2], (), "All 3 pictures of pets have the label 2; an accuracy needs at least 2"),
        ([1, 2, 3], (), r"pets has labels 1\.\.3, but they must start at 0; subtract 1"),
        ([0, 5], ("a", "b"), r"labels 0\.\.5 but only 2 class names"),
        (
            list(range(27)),
            (),
            r"has 27 classes, the network has 3 \(its labels are 0\.\.2, the data set's 0\.\.26\)",
        ),
        ([0, 1], ("a", "b", "c", "d"), "has 4 classes, the network has 3"),
    ],
)
def test_impossible_labels(labels: list[int], classes: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_labels("pets", torch.tensor(labels, dtype=torch.int64), classes, NETWORK)


@pytest.mark.parametrize(
    ("classes", "network", "mapped"),
    [
        (NETWORK, NETWORK, None),
        ((), NETWORK, None),
        (NETWORK, (), None),
        (("Fox", "CAT", "dog"), NETWORK, (2, 0, 1)),
        (("fox", "dog"), NETWORK, (2, 1)),
        (("cat", "dog"), NETWORK, (0, 1)),
        (("n01", "n02", "n03"), NETWORK, None),
        (("cat", "n02", "n03"), NETWORK, None),
        (("maple_tree", "aquarium-fish"), ("aquarium fish", "maple tree"), (1, 0)),
        (("crane", "eel", "crane"), ("crane", "eel", "Crane"), None),
    ],
)
def test_classes_are_found_by_name(
    classes: tuple[str, ...], network: tuple[str, ...], mapped: tuple[int, ...] | None
) -> None:
    assert network_labels("pets", classes, network) == mapped


@pytest.mark.parametrize(
    ("classes", "network", "words"),
    [
        (("n01", "n02"), NETWORK, "the network's 3 classes are the 2 of pets, since 'n01' is not"),
        (("dog", "cat", "wolf"), NETWORK, "'wolf' is not one of them; give the data set's classes"),
        (("eel", "crane", "crane"), ("crane", "eel", "crane"), "a name occurs twice"),
        (("crane", "eel"), ("crane", "eel", "crane"), "a name occurs twice"),
    ],
)
def test_an_order_that_cannot_be_told(
    classes: tuple[str, ...], network: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        network_labels("pets", classes, network)
