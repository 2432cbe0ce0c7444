"""The region proposal network: boxes that may hold a word, from the backbone's features at strides 4 and 8."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import batched_nms, clip_boxes_to_image

from craft.models.craft import LEVEL_STRIDES

ANCHOR_CODER = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
LEAST_SIDE = 4.0  # network input pixels; smaller boxes are no words that maps at half size could show
_LEVELS = ("vgg4", "vgg8")
# Square roots of areas, network input pixels, and height over width: words of one line, and tall ones.
_SIZES = ((16, 28), (48, 84, 148))
_HEIGHT_TO_WIDTH = (1 / 8, 1 / 5, 1 / 3, 1 / 2, 1.0, 2.0)
_KEPT_BEFORE_NMS = 1000  # boxes a level and image


class ProposalNetwork(nn.Module):
    """Objectness and box deltas for anchors on two levels of the backbone's features.

    Source: Faster R-CNN, Ren et al., NeurIPS 2015, section 3.1, with torchvision's anchors and head. Anchors are
        centred on their cells, (i + 0.5) * stride, where torchvision has i * stride; their shapes are those of words.
    """

    def __init__(self, level_channels: Mapping[str, int], *, generator: torch.Generator) -> None:
        """Build the network with parameters drawn from `generator`, for a CRAFT of these `level_channels`."""
        super().__init__()
        self.anchor_generator = AnchorGenerator(_SIZES, (_HEIGHT_TO_WIDTH,) * len(_SIZES))
        per_cell = self.anchor_generator.num_anchors_per_location()
        channels = [level_channels[level] for level in _LEVELS]
        self.heads = nn.ModuleList(RPNHead(*both) for both in zip(channels, per_cell, strict=True))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01, generator=generator)

    def forward(self, levels: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Score anchors by the features (B, C, h, w) that `CRAFT.forward` gives, in the order of `anchors`.

        Returns logits (B, A) float32 that an anchor holds a word, and box deltas (B, A, 4) float32 for `ANCHOR_CODER`.
        """
        odds, corrections = [], []
        for level, head in zip(_LEVELS, self.heads, strict=True):
            (level_odds,), (level_corrections,) = head([levels[level]])
            count, _, height, width = level_odds.shape
            odds.append(level_odds.float().permute(0, 2, 3, 1).flatten(1))  # (B, h*w*K)
            split = level_corrections.float().view(count, -1, 4, height, width).permute(0, 3, 4, 1, 2)
            corrections.append(split.reshape(count, -1, 4))  # (B, h*w*K, 4)
        return torch.cat(odds, dim=1), torch.cat(corrections, dim=1)

    def anchors(self, levels: Mapping[str, Tensor]) -> list[Tensor]:
        """Boxes (A_l, 4) float32 for each level, network input pixels; they may extend beyond the image."""
        self.anchor_generator.set_cell_anchors(torch.float32, levels[_LEVELS[0]].device)
        sizes_hw = [list(levels[level].shape[2:]) for level in _LEVELS]
        strides = [[LEVEL_STRIDES[level]] * 2 for level in _LEVELS]
        corners = self.anchor_generator.grid_anchors(sizes_hw, strides)
        return [boxes + LEVEL_STRIDES[level] / 2 for boxes, level in zip(corners, _LEVELS, strict=True)]

    @torch.no_grad()
    def propose(
        self,
        anchors: list[Tensor],
        odds: Tensor,
        corrections: Tensor,
        *,
        size_hw: tuple[int, int],
        count: int,
        nms_iou: float = 0.7,
    ) -> list[Tensor]:
        """Turn scored anchors, from `anchors` and `forward`, into the boxes most likely to hold a word.

        Of boxes of a level that overlap by more than `nms_iou` the less likely is dropped.

        Returns (P_b, 4) float32 for each image, P_b <= count, most likely first, clipped, sides at least LEAST_SIDE.
        """
        proposals = []
        for image_odds, image_corrections in zip(odds, corrections, strict=True):
            kept, scores, levels, first = [], [], [], 0
            for level, boxes in enumerate(anchors):
                part = slice(first, first + len(boxes))
                first += len(boxes)
                top, index = image_odds[part].topk(min(_KEPT_BEFORE_NMS, len(boxes)))
                moved = ANCHOR_CODER.decode_single(image_corrections[part][index], boxes[index])
                moved = clip_boxes_to_image(moved, size_hw)
                large = ((moved[:, 2:] - moved[:, :2]) >= LEAST_SIDE).all(dim=1)
                kept.append(moved[large])
                scores.append(top[large])
                levels.append(torch.full_like(top[large], level))
            all_boxes = torch.cat(kept)
            survivors = batched_nms(all_boxes, torch.cat(scores), torch.cat(levels), nms_iou)[:count]
            proposals.append(all_boxes[survivors])
        return proposals
