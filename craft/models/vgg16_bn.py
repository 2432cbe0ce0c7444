"""The VGG16 backbone with batch norm, under the parameter names of the authors' release."""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from craft.models.backbone import Backbone, scale_channels

# Channels of VGG16's convolutions, 0 for a pooling layer. No ReLU and no pooling follows the last one.
_CHANNELS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512)
# The layers, in torchvision's numbering, at which slices 1 to 4 start.
_SLICE_STARTS = (0, 13, 20, 30)


class VGG16BN(Backbone):
    """VGG16's convolutions in four slices, then two that replace its fully connected layers.

    Source: CRAFT, Baek et al., CVPR 2019, figure 2. In the authors' release the skips of the first three slices are
        rectified only because the next slice begins with an in-place ReLU; here that ReLU ends the slice. The skip of
        the fourth slice is not rectified in either.
    """

    widest = ("basenet.slice5.2.weight", 1024)

    def __init__(self, width: float) -> None:
        super().__init__(width)

        def scaled(channels: int) -> int:
            return scale_channels(channels, width=width)

        self.channels = (scaled(128), scaled(256), scaled(512), scaled(512), scaled(1024))
        layers: list[nn.Module] = []
        channels_in = 3
        for channels in _CHANNELS:
            if channels == 0:
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
                continue
            convolution = nn.Conv2d(channels_in, scaled(channels), kernel_size=3, padding=1)
            layers += [convolution, nn.BatchNorm2d(scaled(channels)), nn.ReLU(inplace=True)]
            channels_in = scaled(channels)
        layers.pop()  # the last ReLU
        self.slice1, self.slice2, self.slice3, self.slice4 = (
            nn.Sequential(OrderedDict((str(index), layers[index]) for index in range(start, end)))
            for start, end in zip(_SLICE_STARTS, (*_SLICE_STARTS[1:], len(layers)), strict=True)
        )
        self.slice5 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            nn.Conv2d(scaled(512), scaled(1024), kernel_size=3, padding=6, dilation=6),
            nn.Conv2d(scaled(1024), scaled(1024), kernel_size=1),
        )

    def load_imagenet(self) -> None:
        """Copy torchvision's ImageNet weights into slices 1 to 4; torch.hub caches the file (528 MB)."""
        if self.width != 1:
            raise ValueError(
                f"model.pretrained: imagenet fits width 1 only, not {self.width}; set model.pretrained to none, or start "
                "from weights of that width with 'weights'"
            )
        from torchvision.models import VGG16_BN_Weights  # detection does not need torchvision

        source = VGG16_BN_Weights.IMAGENET1K_V1
        try:
            pretrained = source.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            name = source.url.rpartition("/")[2]
            raise ValueError(
                f"model.pretrained: imagenet: {name} could not be fetched ({error}); copy torchvision's file to "
                f"{Path(torch.hub.get_dir()) / 'checkpoints'}, or set model.pretrained to none"
            ) from error
        own = {name: value for name, value in self.state_dict().items() if not name.startswith("slice5.")}
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(pretrained["features." + name.partition(".")[2]])
