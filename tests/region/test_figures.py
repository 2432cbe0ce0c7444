import numpy as np
import torch

from craft.region.figures import draw_rois


def test_drawn_rois_are_green_for_text_and_red_for_hard_background():
    image = np.full((30, 60, 3), 90, np.uint8)
    boxes = torch.tensor([[2.0, 2, 20, 20], [30, 2, 50, 20]])

    drawn = draw_rois(image, boxes, torch.tensor([9.0, 9.0]), torch.tensor([True, False]))

    assert drawn[2, 10].tolist() == [0, 150, 0]
    assert drawn[2, 40].tolist() == [225, 0, 0]
    assert (drawn[10, 10] == 90).all()
