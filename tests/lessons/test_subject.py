from __future__ import annotations

import pytest

from adadfq_core.lessons.subject import Subject, load_subject


@pytest.fixture(scope="module")
def subject() -> Subject:
    return load_subject()


def test_the_images_that_set_ranges_are_not_those_that_measure(subject: Subject) -> None:
    known, measured = (
        {image.numpy().tobytes() for image in part.images.pixels}
        for part in (subject.known, subject.measured)
    )
    assert len(known) == len(measured) == 500 and not known & measured


@pytest.mark.slow
def test_five_bits_lose_less_than_a_point_and_three_bits_far_more(subject: Subject) -> None:
    assert subject.top1 > 93
    assert subject.top1 - subject.quantized_top1(5) < 1
    assert 50 < subject.quantized_top1(3) < subject.top1 - 10
    # The shared network has no part in it.
    assert not any(module._forward_pre_hooks for module in subject.graph.modules())
