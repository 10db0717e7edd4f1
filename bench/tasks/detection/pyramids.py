"""Feature pyramids: the maps of a backbone made equally wide, at several strides."""

from __future__ import annotations

from timm.layers import LayerNorm2d
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from bench.models.backbone import Maps


class SimplePyramid(nn.Module):
    """The pyramid of a plain ViT: its one map at twice, the same and half its resolution (ViTDet, arXiv:2203.16527).

    A stride-2 deconvolution to half the channels, nothing, and a stride-2 max pooling, each followed by a 1×1 and a
    3×3 convolution with LayerNorm (section 3, figure 2c). All blocks of a ViT have the same stride, so its depth holds
    no scales that an ordinary pyramid could take.

    Args:
        channels: of the map.
        width: channels of the pyramid's maps.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.finer = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 2, 2, stride=2), *_projection(channels // 2, width)
        )
        self.same = nn.Sequential(*_projection(channels, width))
        self.coarser = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), *_projection(channels, width))

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """((N, channels, h, w),) → (N, width, 2h, 2w), (N, width, h, w), (N, width, ⌈h/2⌉, ⌈w/2⌉)."""
        (only,) = maps
        return self.finer(only), self.same(only), self.coarser(only)


def _projection(channels: int, width: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, width, 1, bias=False),
        LayerNorm2d(width),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        LayerNorm2d(width),
    )


class TopDownPyramid(nn.Module):
    """The pyramid of a hierarchical network: coarse maps are added to the finer ones (FPN, arXiv:1612.03144).

    Args:
        channels: of each map, finest first.
        width: channels of the pyramid's maps.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(list(channels), width)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """As many maps as there come in, of the same sizes, (N, width, h, w) each."""
        return tuple(self.fpn({str(level): each for level, each in enumerate(maps)}).values())


def pyramid(maps: Maps, width: int) -> tuple[nn.Module, tuple[float, ...]]:
    """A new pyramid on a backbone's maps.

    Args:
        maps: what the backbone gives; a single map is taken for a plain ViT's.
        width: channels of the pyramid's maps.

    Returns:
        The pyramid, tuple of maps → tuple of maps, finest first; and the strides of what it makes.
    """
    if len(maps.channels) > 1:
        return TopDownPyramid(maps.channels, width), maps.strides
    (channels,), (stride,) = maps.channels, maps.strides
    return SimplePyramid(channels, width), (stride / 2, stride, 2 * stride)
