"""Any image-classification model of timm as a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor

from detkit.errors import ConfigError
from detkit.models.backbones.freezing import freeze_bn
from detkit.models.backbones.layer_depth import get_layer_depth
from detkit.models.backbones.timm.checkpoint_filter import (
    timm_checkpoint_filter_fn,
    timm_classifier_prefixes,
)
from detkit.models.backbones.timm.create import create_timm_model
from detkit.models.backbones.timm.feature_levels import (
    forward_levels,
    prune_to_levels,
    resolve_levels,
)
from detkit.models.backbones.timm.hub import fetch_pretrained
from detkit.models.backbones.timm.layer_groups import find_frozen_layers, get_layer_ids
from detkit.models.backbones.timm.relative_position_bias import enable_dynamic_img_size
from detkit.models.weights.backbone_weights import initialize_weights, load_backbone_weights
from detkit.models.weights.published_args import resolve_weights
from detkit.registry import MODELS


@MODELS.register_module()
class TimmBackbone(BaseModule):  # type: ignore[misc]
    """A model of timm without its classifier, for images of any size.

    Images are zero-padded at the bottom right to the multiples that the model needs (32 for most
    that need any; the window times 32 for MaxViT; whole patches for plain transformers), and the
    maps are cropped. Absolute position embeddings, and the relative ones of CoAtNet, are resized
    to the image. Few models (BEiT, CaiT, Hiera and others) have a fixed input size, set by
    ``img_size``: smaller images are padded to it, larger ones rejected. Where a network does not
    pad its convolutions (Inception) maps are smaller than size / stride; they are padded by
    replication on both sides, which keeps their alignment with the image.

    Args:
        name: of timm's model, with or without a tag of pretrained weights: 'resnet50.a1_in1k'.
        pretrained: whether ``init_weights`` downloads timm's pretrained weights, unless
            ``init_cfg`` is given.
        strides: of the maps, ascending; the deepest map of each stride is returned. None for the
            deepest map only, as for plain transformers (ViT, DeiT, EVA, those of CLIP and DINO),
            whose other levels ``SimpleFeaturePyramid`` makes. The final norm of a transformer
            belongs to its classifier and is removed.
        frozen_stages: -1 none; 0 the stem; n also the first n of timm's stages (blocks of a plain
            transformer). Frozen modules stay in eval mode and their parameters get no gradient.
        norm_eval: keep batch norms in eval mode, with frozen running statistics.
        with_cp: use activation checkpointing in blocks: less memory, more time.
        weights: 'imagenet' for timm's default weights of the model, or the tag or full name of
            others; None begins at random. With ``init_cfg`` its file is loaded instead.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file in timm's layout, one
            that timm converts, or detkit's; see ``detkit.models.weights``.
        kwargs: more arguments for ``timm.create_model``, such as drop_path_rate or in_chans.

    Attributes:
        feature_channels, feature_strides: of each map that ``forward`` returns.

    Raises:
        ConfigError: an unknown name or argument, or an invalid stride or stage.
        WeightsError: an unknown tag of weights.

    Source: timm. Agrees with its ``forward_intermediates`` on the same weights.
    """

    checkpoint_filter_fn = staticmethod(timm_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(timm_classifier_prefixes)
    # A classifier's file may have layers after the last feature map that this class drops.
    full_network = "TimmNetwork"
    state_dict_prefix = "body."

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        strides: Sequence[int] | None = (4, 8, 16, 32),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
        weights: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=resolve_weights("TimmBackbone", name, weights, init_cfg)[0])
        options = {key: value for key, value in kwargs.items() if value is not None}
        self.name, self.pretrained, self.norm_eval = name, pretrained, norm_eval
        self.levels = resolve_levels(name, strides, options)
        self.options = self.levels.options
        self.feature_channels = self.levels.channels
        self.feature_strides = self.levels.strides
        self.body: Any = create_timm_model(name, self.levels.options, num_classes=0)
        enable_dynamic_img_size(self.body)
        prune_to_levels(self.body, self.levels.indices)
        if with_cp:
            _enable_grad_checkpointing(self.body, name)
        self._frozen_parameters, self._frozen_modules = find_frozen_layers(
            self.body, name, frozen_stages
        )
        self._freeze()

    def init_weights(self) -> None:
        """Load the weights of ``init_cfg``, else timm's if ``pretrained``.

        Without either, keep timm's random initialization.

        Raises:
            WeightsError: the weights cannot be downloaded or read, or do not fit.
        """
        if self.init_cfg:
            initialize_weights(self, self.init_cfg)
        elif self.pretrained:
            report = load_backbone_weights(self, fetch_pretrained(self.name))
            print_log(str(report), logger="current")
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: (B, 3 or in_chans, H, W), normalized images, any H and W.

        Returns:
            for each stride (B, channels, ceil(H / stride), ceil(W / stride)).

        Raises:
            ConfigError: the model has a fixed input size, and the image is larger.
        """
        height, width = x.shape[-2:]
        rows, columns = self.levels.padded_size(height, width)
        if (rows, columns) != (height, width):
            x = F.pad(x, (0, columns - width, 0, rows - height))
        maps = forward_levels(self.body, x, self.levels.indices)
        outputs = []
        for level, stride in zip(maps, self.feature_strides):
            if not self.levels.rounds_up:
                level = _pad_replicate(level, -(-rows // stride), -(-columns // stride))
            outputs.append(level[..., : -(-height // stride), : -(-width // stride)])
        return tuple(outputs)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Switch mode; frozen stages, and with ``norm_eval`` batch norms, stay in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Get the depth of a parameter, for layer-wise learning rate decay.

        Args:
            param_name: with the prefix that the backbone has in its model.
            prefix: such as 'backbone.'; names without it belong to later modules.

        Returns:
            the depth, 0 for the stem, and the number of depths; the last depth is the head's.

        Raises:
            ConfigError: timm has no layer groups for this model.

        Source: mmpretrain's backbones have the same method; timm's parameter groups.
        """
        layers = get_layer_ids(self.body, self.name, coarse=False)
        return get_layer_depth(layers, param_name, prefix, inner_prefix="body.")

    def _freeze(self) -> None:
        for path in self._frozen_parameters:
            self.body.get_parameter(path).requires_grad_(False)
        for path in self._frozen_modules:
            self.body.get_submodule(path).eval()
        if self.norm_eval:
            freeze_bn(self)


def _enable_grad_checkpointing(model: Any, name: str) -> None:
    try:
        model.set_grad_checkpointing(True)
    # The method is missing, or asserts.
    except (AttributeError, AssertionError) as error:
        raise ConfigError(f"TimmBackbone: with_cp: timm has no activation checkpointing for {name}",
                          hint="set with_cp=False") from error


def _pad_replicate(level: Tensor, rows: int, columns: int) -> Tensor:
    """Pad a map to rows x columns by replication, evenly on both sides."""
    pad_y, pad_x = max(rows - level.shape[-2], 0), max(columns - level.shape[-1], 0)
    padding = (pad_x // 2, pad_x - pad_x // 2, pad_y // 2, pad_y - pad_y // 2)
    return F.pad(level, padding, mode="replicate") if any(padding) else level
