"""Maps and confidence against numbers checkable by hand and against the slow reference."""

import math

import numpy as np
import pytest
import torch

from craft.targets.heatmaps import Targets, draw_targets
from tests.targets.reference import affinity_quad, draw_slowly


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def draw(
    characters=(),
    words=(),
    *,
    strips=(),
    strip_words=(),
    confidence=(1.0,),
    image=None,
    size=(20, 24),
    batch=1,
):
    return draw_targets(
        np.array(characters, dtype=np.float32).reshape(-1, 4, 2),
        np.array(words, dtype=np.int64),
        np.array(strips, dtype=np.float32).reshape(-1, 4, 2),
        np.array(strip_words, dtype=np.int64),
        np.zeros(len(confidence), dtype=np.int64) if image is None else np.array(image),
        np.array(confidence, dtype=np.float32),
        batch_size=batch,
        map_size_hw=size,
        device="cpu",
    )


def assert_same(first: Targets, second: Targets) -> None:
    assert torch.equal(first.maps, second.maps)
    assert torch.equal(first.confidence, second.confidence)


def random_scene(seed: int):
    """Words of 1 to 3 characters in perspective, overlapping and leaving the image, of every kind of confidence."""
    generator = np.random.default_rng(seed)
    confidence = np.array([1.0, 0.5, 0.0, 0.75, 0.0, 1.0, 0.5], dtype=np.float32)
    image = [int(index) for index in generator.integers(0, 2, len(confidence))]
    characters, words, strips = [], [], []
    for word in range(len(confidence)):
        corner, size = generator.uniform(-10, 50, 2), generator.uniform(5, 22, 2)
        angle = generator.uniform(-0.5, 0.5)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        count = int(generator.integers(1, 4))
        for index in range(count):
            square = box(index * size[0], 0, (index + 1) * size[0], size[1])
            characters.append((square + generator.uniform(-1.2, 1.2, (4, 2))) @ turn.T + corner)
            words.append(word)
        strips.append(box(0, 0, count * size[0], size[1]) @ turn.T + corner)
    # As the loader hands them over: in float32.
    return np.float32(characters), words, np.float32(strips), image, confidence


def test_value_is_the_gaussian_at_the_pixel_centre():
    targets = draw([box(8, 8, 24, 24)], [0])  # map pixels 4 to 12, enlarged 2 to 14: middle 8, half a side 6

    region = targets.maps[0, 0]
    assert region[8, 8] == pytest.approx(math.exp(-(2 * (0.5 / 6) ** 2) / 0.32), abs=1e-6)  # 0.9575
    assert region[5, 10] == pytest.approx(math.exp(-((2.5 / 6) ** 2 + (2.5 / 6) ** 2) / 0.32), abs=1e-6)
    assert region[2, 8] == pytest.approx(math.exp(-((5.5 / 6) ** 2 + (0.5 / 6) ** 2) / 0.32), abs=1e-6)
    assert region[2, 2] == 0  # in the enlarged quad, but outside the disc
    assert region[8, 1] == 0
    assert torch.equal(targets.maps[0, 1], torch.zeros(20, 24))  # one character has no neighbour
    assert torch.equal(targets.confidence, torch.ones(1, 2, 20, 24))


def test_map_is_symmetric_for_a_square_character():
    region = draw([box(8, 8, 24, 24)], [0], size=(16, 16)).maps[0, 0]

    torch.testing.assert_close(region, region.flip(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(region, region.T, atol=1e-6, rtol=0)


def test_affinity_is_drawn_over_the_quad_between_two_characters():
    targets = draw([box(0, 0, 12, 12), box(12, 0, 24, 12)], [0, 0])

    # Input pixels 6 to 18 and 2 to 10; map pixels 3 to 9 and 1 to 5: middle (6, 3), half sides 4.5 and 3 once enlarged.
    affinity = targets.maps[0, 1]
    assert affinity[3, 6] == pytest.approx(math.exp(-((0.5 / 4.5) ** 2 + (0.5 / 3) ** 2) / 0.32), abs=1e-6)
    assert affinity[1, 4] == pytest.approx(math.exp(-((1.5 / 4.5) ** 2 + (1.5 / 3) ** 2) / 0.32), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_slow_reference(seed):
    characters, words, strips, image, confidence = random_scene(seed)
    size = (27, 31)

    targets = draw(
        characters,
        words,
        strips=strips,
        strip_words=range(len(strips)),
        confidence=confidence,
        image=image,
        size=size,
        batch=3,
    )

    quads = [(0, quad.astype(np.float64), word) for quad, word in zip(characters, words, strict=True)]
    quads += [
        (1, affinity_quad(quads[index][1], quads[index + 1][1], vertical=False), words[index])
        for index in range(len(words) - 1)
        if words[index] == words[index + 1]
    ]
    covers = [(strip.astype(np.float64), word) for word, strip in enumerate(strips)]
    maps, trust = draw_slowly(quads, covers, image, confidence.tolist(), batch_size=3, map_size_hw=size)
    assert np.abs(targets.maps.numpy() - maps).max() < 2e-6
    assert np.abs(targets.confidence.numpy() - trust).max() < 1e-6
    assert {0.0, 0.5, 1.0} <= set(trust.flatten())


def test_no_words_give_empty_trusted_maps():
    targets = draw(confidence=(), batch=2)

    assert torch.equal(targets.maps, torch.zeros(2, 2, 20, 24))
    assert torch.equal(targets.confidence, torch.ones(2, 2, 20, 24))


def test_a_character_partly_outside_is_drawn_where_it_is_inside():
    inside = draw([box(20, 20, 36, 40)], [0], size=(30, 30))

    outside = draw([box(-8, -8, 8, 12)], [0], size=(30, 30))

    torch.testing.assert_close(outside.maps[..., :10, :10], inside.maps[..., 14:24, 14:24], atol=1e-6, rtol=0)
    assert outside.maps[0, 0, 0, 0] > 0.9


def test_a_character_wholly_outside_colours_nothing():
    targets = draw([box(-60, -60, -40, -40), box(100, 100, 130, 130)], [0, 0])

    assert targets.maps[0, 0].sum() == 0


def test_the_larger_target_of_two_characters_wins_with_its_confidence():
    both = draw([box(8, 8, 24, 24), box(16, 8, 32, 24)], [0, 1], confidence=(0.75, 0.5))

    left = draw([box(8, 8, 24, 24)], [0]).maps[0, 0]
    right = draw([box(16, 8, 32, 24)], [0]).maps[0, 0]
    assert torch.equal(both.maps[0, 0], torch.maximum(left, right))
    confidence = both.confidence[0, 0]
    assert (confidence[left > right] == 0.75).all()
    assert (confidence[right > left] == 0.5).all()
    assert (confidence[(left == 0) & (right == 0)] == 1).all()


def test_the_less_trusted_of_equal_targets_wins():
    targets = draw([box(8, 8, 24, 24)] * 3, [0, 1, 2], confidence=(0.75, 0.25, 0.5))

    reached = targets.maps[0, 0] > 0
    assert (targets.confidence[0, 0][reached] == 0.25).all()


def test_dont_care_covers_the_quad_grown_by_a_quarter_of_its_shorter_side():
    strip = box(12, 12, 28, 20)  # 8 x 4 map pixels, grown by 1 on every side: 10 x 6

    targets = draw(strips=[strip], strip_words=[0], confidence=(0.0,))

    expected = torch.ones(20, 24)
    expected[5:11, 5:15] = 0
    assert torch.equal(targets.confidence, expected.expand(1, 2, 20, 24))


def test_a_target_above_a_tenth_stays_cared_for_under_dont_care():
    targets = draw([box(8, 8, 24, 24)], [0], strips=[box(0, 0, 48, 40)], strip_words=[1], confidence=(0.75, 0.0))

    region = targets.maps[0, 0]
    assert (targets.confidence[0, 0] == torch.where(region > 0.1, 0.75, 0.0)).all()
    assert ((region > 0) & (region <= 0.1)).any()
    assert (targets.confidence[0, 1] == 0).all()  # no affinity there


def test_a_words_confidence_covers_its_grown_quad_and_the_smallest_wins():
    strips = [box(4, 4, 20, 12), box(12, 4, 28, 12)]  # map 2 to 10 and 6 to 14, both grown by 1

    confidence = draw(strips=strips, strip_words=[0, 1], confidence=(0.75, 0.5)).confidence[0, 0]

    expected = torch.ones(20, 24)
    expected[1:7, 1:11] = 0.75
    expected[1:7, 5:15] = 0.5
    assert torch.equal(confidence, expected)


def test_characters_of_dont_care_words_are_not_drawn():
    targets = draw([box(8, 8, 24, 24), box(24, 8, 40, 24)], [0, 0], confidence=(0.0,))

    assert targets.maps.sum() == 0


def test_a_quad_that_is_not_convex_is_drawn_as_the_parallelogram_of_its_area():
    arrowhead = np.array([[8, 8], [32, 8], [18, 16], [14, 32]])
    # Middle (18, 16); half of its mean width (7, -4), half of its mean height (-2, 8): area 4 * (56 - 8) = 192.
    parallelogram = np.array([[13, 12], [27, 4], [23, 20], [9, 28]])

    targets = draw([arrowhead], [0])

    assert torch.equal(targets.maps, draw([parallelogram], [0]).maps)
    assert targets.maps.max() > 0.9


@pytest.mark.parametrize(
    "quad",
    [
        np.array([[8, 8], [24, 8], [8, 24], [24, 24]]),  # a bow-tie
        np.array([[8, 8], [24, 8], [24, 8], [8, 8]]),  # a line
        np.full((4, 2), 9),  # a point
    ],
)
def test_a_quad_without_area_colours_nothing(quad):
    targets = draw([quad, quad], [0, 0])

    assert targets.maps.sum() == 0
    assert (targets.confidence == 1).all()


def test_targets_of_any_quad_stay_near_it_and_within_0_and_1():
    generator = np.random.default_rng(5)
    for _ in range(300):
        quad = generator.uniform(12, 36, (4, 2))  # most are not convex, many are bow-ties

        region = draw([quad], [0], size=(24, 24)).maps[0, 0].numpy()

        assert ((region >= 0) & (region <= 1)).all()
        middle = quad.mean(axis=0)
        reach = 1.5 * (np.abs(quad - middle).sum(axis=1).max() + 24)
        rows, columns = np.nonzero(region)
        assert (np.hypot(2 * columns + 1 - middle[0], 2 * rows + 1 - middle[1]) <= reach).all()


def test_dont_care_leaves_the_notch_of_a_strip_that_is_not_convex():
    notched = np.array([[4, 4], [40, 4], [12, 12], [4, 36]])

    confidence = draw(strips=[notched], strip_words=[0], confidence=(0.0,)).confidence[0, 0]

    assert confidence[3, 3] == 0  # between the corners
    assert confidence[12, 15] == 1  # within the hull of the four corners, outside the quad
    assert confidence[4, 14] == 0  # along the upper arm


def test_a_strip_labelled_counter_clockwise_covers_the_same():
    strip = box(12, 12, 28, 20)

    turned = draw(strips=[strip[[0, 3, 2, 1]]], strip_words=[0], confidence=(0.0,))

    assert_same(turned, draw(strips=[strip], strip_words=[0], confidence=(0.0,)))


def test_affinity_of_a_word_read_right_to_left_is_the_same():
    left, right = box(4, 4, 16, 20), box(16, 4, 30, 20)

    torch.testing.assert_close(draw([right, left], [0, 0]).maps, draw([left, right], [0, 0]).maps, atol=1e-6, rtol=0)


def test_the_order_of_words_does_not_change_a_bit():
    characters, words, strips, image, confidence = random_scene(7)
    strip_words = list(range(len(strips)))
    arguments = {"confidence": confidence, "image": image, "batch": 2}
    expected = draw(characters, words, strips=strips, strip_words=strip_words, **arguments)
    order = np.argsort(-np.array(words), kind="stable")

    turned = draw(
        characters[order], np.array(words)[order], strips=strips[::-1], strip_words=strip_words[::-1], **arguments
    )

    assert_same(turned, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_draws_the_same_without_synchronising():
    characters, words, strips, image, confidence = random_scene(2)
    arrays = (characters, words, strips, range(len(strips)), image, confidence)
    on_host = draw_targets(*arrays, batch_size=2, map_size_hw=(20, 24), device="cpu")
    draw_targets(*arrays, batch_size=2, map_size_hw=(20, 24), device="cuda")  # the first call may set the device up

    torch.cuda.set_sync_debug_mode("error")
    try:
        on_device = draw_targets(*arrays, batch_size=2, map_size_hw=(20, 24), device="cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")

    torch.testing.assert_close(on_device.maps.cpu(), on_host.maps, atol=2e-6, rtol=0)
    torch.testing.assert_close(on_device.confidence.cpu(), on_host.confidence, atol=1e-6, rtol=0)


def test_a_coordinate_that_is_not_finite_is_refused_by_name():
    broken = box(8, 8, 24, 24)
    broken[2, 1] = np.nan

    with pytest.raises(ValueError, match=r"character_quads_xy\[1\].*finite"):
        draw([box(0, 0, 8, 8), broken], [0, 0])
    with pytest.raises(ValueError, match=r"strip_quads_xy\[0\].*finite"):
        draw(strips=[broken], strip_words=[0])


@pytest.mark.parametrize("confidence", [-0.5, 1.5, float("nan")])
def test_a_confidence_outside_0_to_1_is_refused(confidence):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        draw([box(0, 0, 8, 8)], [0], confidence=(confidence,))
