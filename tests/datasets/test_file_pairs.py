from craft.datasets.file_pairs import natural_key, scene_number


def test_scene_numbers_and_order_go_by_whole_numbers():
    assert scene_number("tr_img_00012") == 12
    assert scene_number("photo") is None
    assert sorted(["img_10", "img_9", "a", "img_9b"], key=natural_key) == ["a", "img_9", "img_9b", "img_10"]
