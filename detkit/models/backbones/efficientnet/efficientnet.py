"""EfficientNet as a backbone with a feature map for each stage."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.backbones.arch_lookup import (
    check_frozen_stages,
    check_out_indices,
    check_stage_indices,
)
from detkit.models.backbones.efficientnet.archs import ARCHS, EfficientNetArch, efficientnet_arch
from detkit.models.backbones.efficientnet.checkpoint_filter import (
    efficientnet_checkpoint_filter_fn,
    efficientnet_classifier_prefixes,
)
from detkit.models.backbones.efficientnet.conv import ConvNorm, ConvStyle
from detkit.models.backbones.efficientnet.layers import SqueezeExcite
from detkit.models.backbones.efficientnet.stages import EfficientNetStage, build_blocks
from detkit.models.backbones.freezing import freeze_bn, freeze_stages
from detkit.models.layers.deform_conv import add_zero_init_offsets
from detkit.models.layers.norm import check_norm_cfg
from detkit.models.validation import check_choice, check_count, check_positive
from detkit.models.weights.backbone_weights import initialize_weights
from detkit.models.weights.published_args import resolve_weights
from detkit.registry import MODELS

_NAME = "EfficientNet"
_NORMS = ("BN", "SyncBN", "GN")


@MODELS.register_module()
class EfficientNet(BaseModule):  # type: ignore[misc]
    """Convolutional network of inverted residuals, versions 1 and 2, for images of any size.

    Maps are in channels_last memory. Blocks at stride 2 belong to stage 0, whose map has stride
    4. Stages after the last of ``out_indices`` are not built.

    Batch norm statistics of small batches are inaccurate. With a classifier's weights keep their
    statistics (``norm_eval=True``); from scratch use ``norm_cfg=dict(type='SyncBN')`` on several
    devices, or ``norm_cfg=dict(type='GN', num_groups=8)`` on one, for which there are no
    published weights.

    Padding and eps must be those that the weights were trained with; the shapes do not tell:

    ========================================  ============  ==============
    weights                                   ``padding``   ``norm_eps``
    ========================================  ============  ==============
    torchvision B0 to B4                      'symmetric'   1e-5 (None)
    torchvision B5 to B7, V2                  'symmetric'   1e-3 (None)
    timm, names that begin with tf_           'same'        1e-3 (None)
    timm, other B0 to B4 and Lite0            'symmetric'   1e-5 (None)
    timm, other B5 to B7 and V2               'symmetric'   1e-5
    lukemelas (at its release's image sizes)  'same'        1e-3 (None)
    ========================================  ============  ==============

    Args:
        arch: 'b0' to 'b7', 'lite0', 'v2_s', 'v2_m', 'v2_l', 'micro', or a dict of
            ``EfficientNetArch``'s fields.
        in_channels: channels of the image.
        out_indices: stages whose maps are returned, ascending; 0 to 3 have strides 4 to 32.
        padding: 'symmetric', or 'same' as TensorFlow pads; None means that of ``weights``, or
            'symmetric' without.
        norm_eps: added to variances; None means that of ``weights``, or follows the table.
        norm_eval: keep batch norms in eval mode during training, with running statistics. Their
            weights are still trained.
        norm_cfg: of mmcv's ``build_norm_layer``: a type 'BN', 'SyncBN', or 'GN' with a
            ``num_groups`` that divides all channels, and the norm's arguments (``momentum``,
            ``eps`` in place of ``norm_eps``, ``requires_grad``). SyncBN trains on GPUs only.
        drop_path_rate: None keeps the architecture's; increases from 0 at the first block.
        frozen_stages: -1 none; 0 the stem; n also the first n stages. Frozen modules stay in
            eval mode and their parameters get no gradient.
        deform_stages: stages whose depthwise convolutions are deformable (v2). They are
            initialized as plain ones, so published weights load and give the same output.
        head_conv: add the classifier's last convolution, whose map is returned as the last one.
            ``out_indices`` must end with the last stage.
        with_cp: use activation checkpointing in each block: less memory, more time.
        weights: 'imagenet' for the best published weights of the arch, or a name that 'detkit
            weights' lists; None begins at random. They decide ``padding`` and ``norm_eps``. With
            ``init_cfg`` its file is loaded instead.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file in torchvision's,
            timm's, lukemelas' or detkit's layout; see ``detkit.models.weights``.

    Attributes:
        feature_channels, feature_strides: of each map that ``forward`` returns.

    Raises:
        ConfigError: an unknown architecture or an invalid value.

    Source: arXiv 1905.11946, 2104.00298. Agrees with timm's and torchvision's on the same weights.
    """

    checkpoint_filter_fn = staticmethod(efficientnet_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(efficientnet_classifier_prefixes)
    # The smallest first: a layout is recognized by building the first one.
    arch_names = ("micro", *(name for name in ARCHS if name != "micro"))
    arch_variants = (dict(padding="symmetric", norm_eps=1e-3), dict(padding="same", norm_eps=1e-3))

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "b0",
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        padding: str | None = None,
        norm_eps: float | None = None,
        norm_eval: bool = False,
        norm_cfg: Mapping[str, Any] | None = None,
        drop_path_rate: float | None = None,
        frozen_stages: int = -1,
        deform_stages: Sequence[int] = (),
        head_conv: bool = False,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
        weights: str | None = None,
    ) -> None:
        init_cfg, trained = resolve_weights(_NAME, arch, weights, init_cfg, padding=padding,
                                            norm_eps=norm_eps)
        padding, norm_eps = trained["padding"] or "symmetric", trained["norm_eps"]
        super().__init__(init_cfg=init_cfg)
        self.arch = efficientnet_arch(arch, drop_path_rate=drop_path_rate)
        stages = len(self.arch.stages)
        self.out_indices = check_out_indices(_NAME, stages, out_indices)
        self.feature_channels, self.feature_strides = _feature_info(
            self.arch, self.out_indices, head_conv
        )
        self.frozen_stages = check_frozen_stages(_NAME, stages, frozen_stages)
        self.deform_stages = check_stage_indices(_NAME, "deform_stages", stages, deform_stages)
        check_choice(_NAME, "padding", padding, ("symmetric", "same"))
        self.padding, self.norm_eval = padding, norm_eval
        norm_cfg_given = check_norm_cfg(_NAME, dict(type="BN") if norm_cfg is None else norm_cfg)
        norm = _norm(self.arch, padding, norm_eps, norm_cfg_given)
        self.norm_eps = float(norm["eps"])
        # A checkpoint may contradict a default, but not an eps that the user has set.
        self.norm_eps_is_given = norm_eps is not None or "eps" in norm_cfg_given

        style = ConvStyle(norm, padding, self.arch.activation)
        check_count(_NAME, "in_channels", in_channels)
        stem_channels, head_channels = self.arch.stem_head_channels
        self.stem = ConvNorm(in_channels, stem_channels, 3, 2, style)
        self.stages = nn.ModuleList(
            EfficientNetStage(build_blocks(self.arch, stage, style, stage in self.deform_stages),
                              with_cp=with_cp)
            for stage in range(self.out_indices[-1] + 1)
        )
        self.head_conv: ConvNorm | None = None
        if head_conv:
            self.head_conv = ConvNorm(self.arch.channels[-1], head_channels, 1, 1, style)
        self._freeze()

    @classmethod
    def feature_info(
        cls,
        arch: str | Mapping[str, Any] = "b0",
        out_indices: Sequence[int] = (0, 1, 2, 3),
        head_conv: bool = False,
        **kwargs: Any,
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Get channels and strides of the maps for these arguments, without building the model.

        Args: those of the class, by name; the others are ignored.

        Raises:
            ConfigError: an unknown architecture or an invalid index.
        """
        resolved_arch = efficientnet_arch(arch)
        return _feature_info(resolved_arch,
                             check_out_indices(_NAME, len(resolved_arch.stages), out_indices),
                             head_conv)

    def init_weights(self) -> None:
        """Initialize convolutions: normal, variance 2 / fan-out, as in the paper's code; then load
        the checkpoint of ``init_cfg``, if any.

        Raises:
            WeightsError: the checkpoint cannot be read, or does not fit.
        """
        for module in self.modules():
            if isinstance(module, (ConvNorm, SqueezeExcite)):
                module.reset_parameters()
        initialize_weights(self, add_zero_init_offsets(self.init_cfg))
        if self.norm_eval and not self.init_cfg:
            print_log(
                "EfficientNet: norm_eval=True keeps the initial batch norm statistics, and no "
                "init_cfg loads any: unless load_from does, nothing is normalized. To train from "
                "scratch, set norm_eval=False.",
                logger="current",
                level=logging.WARNING,
            )
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: (B, 3, H, W), normalized images, any H and W, any memory format. B may be 0 in
                eval mode; in training batch norm needs more than one value for each channel.

        Returns:
            for each of ``out_indices`` (B, channels, ceil(H / stride), ceil(W / stride)) in
            channels_last memory.
        """
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        outputs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                outputs.append(x)
        if self.head_conv is not None:
            outputs.append(self.head_conv(x))
        return tuple(outputs)

    def get_layer_depth(self, name: str, prefix: str = "") -> tuple[int, int]:
        """Get the depth of a parameter, for layer-wise learning rate decay.

        Args:
            name: the parameter's name, including ``prefix``.
            prefix: of the backbone in its model, such as 'backbone.'.

        Returns:
            (depth, number of depths): 0 is the stem, then one depth for each block; the last depth
            is for all parameters after the blocks or outside the backbone.

        Source: not in mmpretrain's EfficientNet; one depth for each block, as in its Swin.
        """
        depths = [sum(1 for _ in stage.children()) for stage in self.stages]
        num_layers = sum(depths) + 2
        local_name = name[len(prefix) :].split(".") if name.startswith(prefix) else [""]
        if local_name[0] == "stem":
            return 0, num_layers
        if local_name[0] != "stages":
            return num_layers - 1, num_layers
        return sum(depths[: int(local_name[1])]) + int(local_name[2]) + 1, num_layers

    def train(self, mode: bool = True) -> EfficientNet:
        """Switch to training or eval mode; frozen stages, and with ``norm_eval`` all batch norms,
        stay in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        freeze_stages(self, self.frozen_stages, [self.stem])
        if self.norm_eval:
            freeze_bn(self)


def _feature_info(
    arch: EfficientNetArch, indices: tuple[int, ...], head_conv: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if head_conv and indices[-1] != len(arch.stages) - 1:
        raise ConfigError(f"{_NAME}: head_conv needs the last stage", got=indices,
                          expected=f"out_indices that end with {len(arch.stages) - 1}")
    indices_with_head = (*indices, -1) if head_conv else indices
    channels = (*arch.channels, arch.stem_head_channels[1]) if head_conv else arch.channels
    strides = (*arch.strides, arch.strides[-1]) if head_conv else arch.strides
    return tuple(channels[i] for i in indices_with_head), tuple(
        strides[i] for i in indices_with_head
    )


def _norm(
    arch: EfficientNetArch, padding: str, eps: float | None, norm_cfg_given: Mapping[str, Any]
) -> dict[str, Any]:
    """``norm_cfg`` of a supported type, with the resolved eps."""
    if norm_cfg_given["type"] not in _NORMS:
        raise ConfigError(f"{_NAME}: norm_cfg.type", got=repr(norm_cfg_given["type"]),
                          expected=f"one of {', '.join(_NORMS)}")
    if eps is not None and norm_cfg_given.get("eps", eps) != eps:
        raise ConfigError(f"{_NAME}: norm_eps and norm_cfg.eps contradict each other",
                          got=f"{eps} and {norm_cfg_given['eps']}", expected="one of them")
    if eps is None:
        eps = 1e-3 if padding == "same" else arch.norm_eps
    norm = {"eps": eps, **norm_cfg_given}
    check_positive(_NAME, "norm_eps", norm["eps"])
    return norm
