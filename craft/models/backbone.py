"""What a backbone is: five stages of features that the decoder joins, and how it starts from ImageNet."""

from torch import nn


class Backbone(nn.Module):
    """Stages that run one after the other: the module's children, in order.

    The first four give features at strides 2, 4, 8 and 16, the fifth at 16 or more. CRAFT runs each on its own, so that
    it can be compiled and recomputed alone. `channels` are those of the features of the five stages.
    """

    channels: tuple[int, int, int, int, int]
    # A parameter whose first dimension shows the width, and that dimension at width 1.
    widest: tuple[str, int]

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = width

    def load_imagenet(self) -> None:
        """Start from ImageNet weights; ValueError if there are none for this width, or they cannot be fetched."""
        raise NotImplementedError


def scale_channels(channels: int, *, width: float) -> int:
    """Channel count at a width of a layer that has `channels` at width 1; at least 1."""
    units = max(1, round(1024 * width))  # the same rounding from the width as given and as read off a file's shapes
    return max(1, (channels * units + 512) // 1024)
