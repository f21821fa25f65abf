"""ConvNeXt V2 as a backbone with a feature map for each stage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.models.backbones.arch_lookup import (
    check_frozen_stages,
    check_out_indices,
    check_stage_indices,
)
from detkit.models.backbones.convnextv2.archs import ARCHS, convnextv2_arch
from detkit.models.backbones.convnextv2.checkpoint_filter import (
    convnextv2_checkpoint_filter_fn,
    convnextv2_classifier_prefixes,
)
from detkit.models.backbones.convnextv2.layers import (
    NORM_EPS,
    ConvNeXtV2Block,
    ConvNeXtV2Stage,
    Downsample,
    GlobalAttention,
)
from detkit.models.backbones.freezing import freeze_stages
from detkit.models.layers.deform_conv import add_zero_init_offsets
from detkit.models.layers.stems import ConvStem, PatchStem
from detkit.models.validation import check_count
from detkit.models.weights.backbone_weights import initialize_weights
from detkit.models.weights.published_args import resolve_weights
from detkit.registry import MODELS

_NAME = "ConvNeXtV2"
_BLOCKS_PER_LAYER = 3


@MODELS.register_module()
class ConvNeXtV2(BaseModule):  # type: ignore[misc]
    """Convolutional network with global response normalization, for images of any size.

    Images are zero-padded to whole patches at the bottom right, and so is each map before
    downsampling (timm and the official code drop the remainder, so they agree where both sides
    of the image are multiples of the last stride). Response normalization uses the whole map,
    including the padding of a batch, as in other implementations. Stages after the last of
    ``out_indices`` are not built.

    Args:
        arch: 'atto', 'femto', 'pico', 'nano', 'tiny', 'base', 'large', 'huge', or a dict of
            ``ConvNeXtV2Arch``'s fields.
        in_channels: channels of the image.
        depths, dims, drop_path_rate, stem: None keeps the arch's; see ``ConvNeXtV2Arch``.
        out_indices: stages whose maps are returned, ascending.
        output_norms: whether each of these maps has its own norm. False for a classifier, which
            normalizes after pooling.
        frozen_stages: -1 none; 0 the stem; n also the first n stages with their output norms.
            Frozen modules stay in eval mode and their parameters get no gradient.
        deform_stages: stages whose depthwise convolutions are deformable (v2). They are
            initialized as plain ones, so published weights load and give the same output.
        attention_stages: stages that end in global attention, for example (3,).
        with_cp: use activation checkpointing in each block: less memory, more time.
        weights: 'imagenet' for the best published weights of the arch, or a name that 'detkit
            weights' lists; None begins at random. With ``init_cfg`` its file is loaded instead.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file in the official
            release's, timm's, mmpretrain's or detkit's layout; see ``detkit.models.weights``.

    Attributes:
        feature_channels, feature_strides: of each map that ``forward`` returns.

    Raises:
        ConfigError: an unknown architecture or an invalid value.

    Source: arXiv 2301.00808. Agrees with timm's on the same weights.
    """

    checkpoint_filter_fn = staticmethod(convnextv2_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(convnextv2_classifier_prefixes)
    arch_names = tuple(ARCHS)

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "tiny",
        in_channels: int = 3,
        depths: Sequence[int] | None = None,
        dims: Sequence[int] | None = None,
        drop_path_rate: float | None = None,
        stem: str | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        deform_stages: Sequence[int] = (),
        attention_stages: Sequence[int] = (),
        with_cp: bool = False,
        output_norms: bool = True,
        init_cfg: dict[str, Any] | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__(init_cfg=resolve_weights(_NAME, arch, weights, init_cfg)[0])
        self.arch = convnextv2_arch(
            arch, depths=depths, dims=dims, drop_path_rate=drop_path_rate, stem=stem
        )
        stages = len(self.arch.depths)
        self.out_indices = check_out_indices(_NAME, stages, out_indices)
        self.feature_channels = tuple(self.arch.dims[i] for i in self.out_indices)
        self.feature_strides = tuple(self.arch.strides[i] for i in self.out_indices)
        self.frozen_stages = check_frozen_stages(_NAME, stages, frozen_stages)
        deform_indices = check_stage_indices(_NAME, "deform_stages", stages, deform_stages)
        attention_indices = check_stage_indices(_NAME, "attention_stages", stages, attention_stages)

        check_count(_NAME, "in_channels", in_channels)
        stem_type = PatchStem if self.arch.stem == "patch" else ConvStem
        self.stem = stem_type(in_channels, self.arch.dims[0], eps=NORM_EPS)
        # On the CPU even where the module is built on the meta device.
        depth = sum(self.arch.depths)
        rates = torch.linspace(0, self.arch.drop_path_rate, depth, device="cpu").tolist()
        self.stages = nn.ModuleList()
        for stage, channels in enumerate(self.arch.dims[: self.out_indices[-1] + 1]):
            blocks = [
                ConvNeXtV2Block(channels, rates.pop(0), stage in deform_indices)
                for _ in range(self.arch.depths[stage])
            ]
            self.stages.append(
                ConvNeXtV2Stage(
                    Downsample(self.arch.dims[stage - 1], channels) if stage else None,
                    blocks,
                    GlobalAttention(channels) if stage in attention_indices else None,
                    with_cp=with_cp,
                )
            )
        self.output_norms = output_norms
        for stage, channels in zip(self.out_indices, self.feature_channels):
            if output_norms:
                self.add_module(f"norm{stage}", nn.LayerNorm(channels, eps=NORM_EPS))
        self._freeze()

    @classmethod
    def feature_info(
        cls,
        arch: str | Mapping[str, Any] = "tiny",
        out_indices: Sequence[int] = (0, 1, 2, 3),
        depths: Sequence[int] | None = None,
        dims: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Get channels and strides of the maps for these arguments, without building the model.

        Args: those of the class, by name; the others are ignored.

        Raises:
            ConfigError: an unknown architecture or an invalid index.
        """
        resolved_arch = convnextv2_arch(arch, depths=depths, dims=dims)
        indices = check_out_indices(_NAME, len(resolved_arch.depths), out_indices)
        return (
            tuple(resolved_arch.dims[i] for i in indices),
            tuple(resolved_arch.strides[i] for i in indices),
        )

    def get_layer_depth(self, name: str, prefix: str = "") -> tuple[int, int]:
        """Get the depth of a parameter, for layer-wise learning rate decay.

        Args:
            name: the parameter's name, including ``prefix``.
            prefix: of the backbone in its model, such as 'backbone.'.

        Returns:
            (depth, number of depths): 0 is the stem, then one depth for each three blocks, with a
            stage's downsampling at the depth of its first blocks; the last depth is for the
            output norms and all parameters outside the backbone.

        Source: the fine-tuning settings of arXiv 2301.00808 and mmpretrain's method of this name.
        """
        stage_layers = [-(-depth // _BLOCKS_PER_LAYER) for depth in self.arch.depths]
        stage_starts = list(accumulate(stage_layers[: len(self.stages)], initial=1))
        num_layers = stage_starts[-1] + 1
        local_name = name[len(prefix) :] if name.startswith(prefix) else ""
        if local_name.startswith("stem."):
            return 0, num_layers
        match = re.match(r"stages\.(\d+)\.(?:blocks\.(\d+)|(attention))?", local_name)
        if match is None:
            return num_layers - 1, num_layers
        stage = int(match[1])
        if match[3]:
            return stage_starts[stage + 1] - 1, num_layers
        return stage_starts[stage] + int(match[2] or 0) // _BLOCKS_PER_LAYER, num_layers

    def init_weights(self) -> None:
        """Initialize convolutions and linear layers: truncated normal, std 0.02, biases and offsets
        zero; then load the checkpoint of ``init_cfg``, if any.

        Raises:
            WeightsError: the checkpoint cannot be read, or does not fit.
        """
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        initialize_weights(self, add_zero_init_offsets(self.init_cfg))
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: (B, 3, H, W), normalized images, any H and W. B may be 0.

        Returns:
            for each of ``out_indices`` (B, channels, ceil(H / stride), ceil(W / stride)) in
            channels_last memory.
        """
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        outputs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                out = self.get_submodule(f"norm{index}")(x) if self.output_norms else x
                outputs.append(out.permute(0, 3, 1, 2))
        return tuple(outputs)

    def train(self, mode: bool = True) -> ConvNeXtV2:
        """Switch to training or eval mode; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        freeze_stages(self, self.frozen_stages, [self.stem])
