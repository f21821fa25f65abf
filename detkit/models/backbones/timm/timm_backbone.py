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
from detkit.registry import MODELS


@MODELS.register_module()
class TimmBackbone(BaseModule):  # type: ignore[misc]
    """A model of timm without its classifier, for images of any size.

    Images are padded with zeros at the lower right to the multiples that the model demands (32
    for most that need any; the window times 32 for MaxViT; whole patches for plain transformers),
    and the maps cropped back. Absolute position embeddings, and the relative ones of CoAtNet, are
    stretched to the image. Few models (BEiT, CaiT, Hiera and others) take one size alone: smaller
    images are padded to it, larger ones refused; ``img_size`` sets it. Where a network does not
    pad its convolutions (Inception) maps come out smaller than the image: their edges are repeated
    on each side alike, so that cells stay above what they look at.

    Args:
        name: of timm's model, with or without a tag of its weights: 'resnet50.a1_in1k'.
        pretrained: whether ``init_weights`` fetches timm's published weights, unless ``init_cfg``
            says where to take them from.
        strides: of the maps, ascending; of several maps with one stride the deepest is given. None
            means the deepest map alone, as for plain transformers (ViT, DeiT, EVA, those of CLIP
            and DINO), whose other levels are made by ``SimpleFeaturePyramid``. The last norm of a
            transformer belongs to its classifier and is left out.
        frozen_stages: -1 none; 0 the stem; n also the first n of timm's stages (blocks of a plain
            transformer). Frozen parts stay in eval mode and their parameters want no gradient.
        norm_eval: keep batch norms in eval mode: their statistics stay.
        with_cp: recompute blocks in the backward pass: less memory, more time.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file in timm's layout, one
            that timm itself converts, or ours; see ``detkit.models.weights``.
        kwargs: more arguments for ``timm.create_model``, such as drop_path_rate or in_chans.

    Attributes:
        feature_channels, feature_strides: of each map that ``forward`` returns.

    Raises:
        ConfigError: a name, an argument, a stride or a stage that there is not.
        WeightsError: a tag of weights that there is not.

    Source: timm. Agrees with its ``forward_intermediates`` on the same weights.
    """

    checkpoint_filter_fn = staticmethod(timm_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(timm_classifier_prefixes)
    # A classifier's file may have layers between the last map and the head, which this class drops.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
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
        """Load the weights that ``init_cfg`` names, else timm's where they are asked for.

        Without either timm's own random beginning stays.

        Raises:
            WeightsError: weights cannot be had or read, or do not fit.
        """
        if self.init_cfg:
            initialize_weights(self, self.init_cfg)
        elif self.pretrained:
            report = load_backbone_weights(self, fetch_pretrained(self.name))
            print_log(str(report), logger="current")
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps of features.

        Args:
            x: (B, 3, H, W), or in_chans for 3; normalised image, any H and W from 1.

        Returns:
            for each stride (B, channels, ceil(H / stride), ceil(W / stride)).

        Raises:
            ConfigError: the model takes one size alone, and the image is larger.
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
        """Switch to training or eval mode; frozen stages, and norms if so asked, stay in eval."""
        super().train(mode)
        self._freeze()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """How deep a parameter lies, for learning rates that fall with the distance to the head.

        Args:
            param_name: with the prefix that the backbone has in its model.
            prefix: such as 'backbone.'; a name without it belongs to what follows the backbone.

        Returns:
            the depth, 0 for the stem, and the number of depths, of which the last is the head's.

        Raises:
            ConfigError: timm does not say for this model.

        Source: mmpretrain's backbones have the same method; timm's own grouping.
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
    # No such method, or one that refuses by an assertion.
    except (AttributeError, AssertionError) as error:
        raise ConfigError(f"TimmBackbone: with_cp: timm cannot recompute the blocks of {name}",
                          hint="leave with_cp out") from error


def _pad_replicate(level: Tensor, rows: int, columns: int) -> Tensor:
    """Bring a map to rows x columns by its edges, as many cells on one side as on the other."""
    pad_y, pad_x = max(rows - level.shape[-2], 0), max(columns - level.shape[-1], 0)
    padding = (pad_x // 2, pad_x - pad_x // 2, pad_y // 2, pad_y - pad_y // 2)
    return F.pad(level, padding, mode="replicate") if any(padding) else level
