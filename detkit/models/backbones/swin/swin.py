"""Swin Transformer as a backbone with a feature map for each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.models.backbones.arch_lookup import check_frozen_stages, check_out_indices
from detkit.models.backbones.freezing import freeze_stages
from detkit.models.backbones.swin.archs import ARCHS, swin_arch
from detkit.models.backbones.swin.checkpoint_filter import (
    swin_checkpoint_filter_fn,
    swin_classifier_prefixes,
)
from detkit.models.backbones.swin.layers import (
    NORM_EPS,
    PatchMerging,
    SwinBlock,
    SwinStage,
)
from detkit.models.backbones.swin.window_attention import WindowAttention
from detkit.models.layers.stems import ConvStem, PatchStem
from detkit.models.validation import check_count
from detkit.models.weights.backbone_weights import initialize_weights
from detkit.models.weights.published_args import resolve_weights
from detkit.registry import MODELS


@MODELS.register_module()
class SwinTransformer(BaseModule):  # type: ignore[misc]
    """Hierarchical transformer with shifted windows, for images of any size.

    Maps are zero-padded to whole windows at the bottom right after the norm, as the published
    weights expect, and rolled after that (timm rolls first, so it agrees only where every map
    is a multiple of the window). An axis covered by one window is not shifted (as in timm and
    torchvision; mmdet shifts it). Stages after the last of ``out_indices`` are not built.

    Args:
        arch: 'micro', 'tiny', 'small', 'base', 'large', or a dict of ``SwinArch``'s fields.
        in_channels: channels of the image.
        embed_dims, depths, num_heads, window_size, mlp_ratio, drop_path_rate, stem, local_conv:
            None keeps the arch's; see ``SwinArch``.
        qkv_bias: whether query, key and value have an additive bias.
        qk_scale: factor of the logits; None means 1 / sqrt(channels of a head).
        patch_norm: whether the stem and the patch merging have norms.
        drop_rate: dropout after the stem, of projections and MLPs.
        attn_drop_rate: dropout of attention weights.
        out_indices: stages whose maps are returned, ascending; each has its own norm.
        frozen_stages: -1 none; 0 the stem; n also the first n stages with their output norms.
            Frozen modules stay in eval mode and their parameters get no gradient.
        mask_padding: mask attention between tokens and the padding of the windows. The published
            weights were trained without.
        with_cp: use activation checkpointing in each block: less memory, more time.
        pretrain_img_size, convert_weights: ignored; accepted so that mmdet's configs build. The
            loader detects the layout of a checkpoint.
        weights: 'imagenet' for the best published weights of the arch, or a name that 'detkit
            weights' lists; None begins at random. With ``init_cfg`` its file is loaded instead.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file in microsoft's, timm's,
            torchvision's, mmdet's or detkit's layout; see ``detkit.models.weights``.

    Attributes:
        feature_channels, feature_strides: of each map that ``forward`` returns.

    Raises:
        ConfigError: an unknown architecture or an invalid value.

    Source: arXiv 2103.14030. Agrees with torchvision's, timm's and mmdet's on the same weights.
    """

    checkpoint_filter_fn = staticmethod(swin_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(swin_classifier_prefixes)
    arch_names = tuple(ARCHS)

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "tiny",
        in_channels: int = 3,
        embed_dims: int | None = None,
        depths: Sequence[int] | None = None,
        num_heads: Sequence[int] | None = None,
        window_size: int | None = None,
        mlp_ratio: float | None = None,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        patch_norm: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float | None = None,
        stem: str | None = None,
        local_conv: bool | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        mask_padding: bool = False,
        with_cp: bool = False,
        pretrain_img_size: int | Sequence[int] = 224,
        convert_weights: bool = False,
        init_cfg: dict[str, Any] | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__(init_cfg=resolve_weights("SwinTransformer", arch, weights, init_cfg)[0])
        self.arch = swin_arch(
            arch,
            embed_dims=embed_dims,
            depths=depths,
            num_heads=num_heads,
            window_size=window_size,
            mlp_ratio=mlp_ratio,
            drop_path_rate=drop_path_rate,
            stem=stem,
            local_conv=local_conv,
        )
        self.out_indices = check_out_indices("Swin", len(self.arch.depths), out_indices)
        self.feature_channels = tuple(self.arch.channels[i] for i in self.out_indices)
        self.feature_strides = tuple(self.arch.strides[i] for i in self.out_indices)
        self.frozen_stages = check_frozen_stages("Swin", len(self.arch.depths), frozen_stages)

        check_count("Swin", "in_channels", in_channels)
        stem_type = PatchStem if self.arch.stem == "patch" else ConvStem
        self.patch_embed = stem_type(in_channels, self.arch.embed_dims, patch_norm)
        self.drop_after_pos = nn.Dropout(drop_rate)
        # On the CPU even where the module is built on the meta device.
        depth = sum(self.arch.depths)
        rates = torch.linspace(0, self.arch.drop_path_rate, depth, device="cpu").tolist()
        self.stages = nn.ModuleList()
        last = self.out_indices[-1]
        for stage, channels in enumerate(self.arch.channels[: last + 1]):
            blocks = [
                SwinBlock(
                    channels,
                    WindowAttention(
                        channels,
                        self.arch.num_heads[stage],
                        self.arch.window_size,
                        self.arch.window_size // 2 if block % 2 else 0,
                        qkv_bias=qkv_bias,
                        qk_scale=qk_scale,
                        attention_dropout=attn_drop_rate,
                        dropout=drop_rate,
                    ),
                    self.arch.mlp_ratio,
                    drop_rate,
                    rates.pop(0),
                    self.arch.local_conv,
                )
                for block in range(self.arch.depths[stage])
            ]
            merging = PatchMerging(channels, patch_norm) if stage < last else None
            self.stages.append(
                SwinStage(blocks, merging, mask_padding=mask_padding, with_cp=with_cp)
            )
        for stage, channels in zip(self.out_indices, self.feature_channels):
            self.add_module(f"norm{stage}", nn.LayerNorm(channels, eps=NORM_EPS))
        self._freeze()

    @classmethod
    def feature_info(
        cls,
        arch: str | Mapping[str, Any] = "tiny",
        out_indices: Sequence[int] = (0, 1, 2, 3),
        embed_dims: int | None = None,
        depths: Sequence[int] | None = None,
        num_heads: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Get channels and strides of the maps for these arguments, without building the model.

        Args: those of the class, by name; the others are ignored.

        Raises:
            ConfigError: an unknown architecture or an invalid index.
        """
        resolved_arch = swin_arch(arch, embed_dims=embed_dims, depths=depths, num_heads=num_heads)
        indices = check_out_indices("Swin", len(resolved_arch.depths), out_indices)
        return (
            tuple(resolved_arch.channels[i] for i in indices),
            tuple(resolved_arch.strides[i] for i in indices),
        )

    def init_weights(self) -> None:
        """Initialize linear layers and bias tables: truncated normal, std 0.02; then load the
        checkpoint of ``init_cfg``, if any.

        Raises:
            WeightsError: the checkpoint cannot be read, or does not fit.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, WindowAttention):
                nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)
        initialize_weights(self, self.init_cfg)
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: (B, 3, H, W), normalized images, any H and W. B may be 0.

        Returns:
            for each of ``out_indices`` (B, channels, ceil(H / stride), ceil(W / stride)) in
            channels_last memory.
        """
        x = self.drop_after_pos(self.patch_embed(x))
        outputs = []
        for index, stage in enumerate(self.stages):
            out, x = stage(x)
            if index in self.out_indices:
                out = self.get_submodule(f"norm{index}")(out)
                outputs.append(out.permute(0, 3, 1, 2))
        return tuple(outputs)

    def get_layer_depth(self, name: str, prefix: str = "") -> tuple[int, int]:
        """Get the depth of a parameter, for layer-wise learning rate decay.

        Args:
            name: the parameter's name, including ``prefix``.
            prefix: of the backbone in its model, such as 'backbone.'.

        Returns:
            (depth, number of depths): 0 is the stem, then one depth for each block, with the patch
            merging at the depth of the block before it; the last depth is for the output norms
            and all parameters outside the backbone.

        Source: agrees with mmpretrain's method of the same name.
        """
        depths = self.arch.depths[: len(self.stages)]
        num_layers = sum(depths) + 2
        local_name = name[len(prefix) :].split(".") if name.startswith(prefix) else [""]
        if local_name[0] == "patch_embed":
            return 0, num_layers
        if local_name[0] != "stages":
            return num_layers - 1, num_layers
        stage = int(local_name[1])
        block = int(local_name[3]) + 1 if local_name[2] == "blocks" else depths[stage]
        return sum(depths[:stage]) + block, num_layers

    def train(self, mode: bool = True) -> SwinTransformer:
        """Switch to training or eval mode; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        freeze_stages(self, self.frozen_stages, [self.patch_embed, self.drop_after_pos])
