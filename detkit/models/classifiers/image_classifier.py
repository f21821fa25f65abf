"""The image classifier: backbone, pooling and head.

Legend: B images in the batch, C channels of a feature, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from detkit.errors import ConfigError, DataError
from detkit.models.build import build_module
from detkit.models.classifiers.pooling import GlobalAveragePooling, last_feature
from detkit.models.classifiers.random_batch_augment import RandomBatchAugment
from detkit.models.layers.norm import build_norm
from detkit.models.losses.soft_targets import check_labels
from detkit.registry import MODELS
from detkit.structures.data_sample import DataSample

_DEFAULT_POOLING = {"type": "GlobalAveragePooling"}
_IMAGE_CHANNELS = 3


@MODELS.register_module()
class ImageClassifier(BaseModel):  # type: ignore[misc]  # mmengine has no types
    """Predict one class for each image.

    Args:
        backbone: config of a backbone whose last output is (B, C, H, W) or (B, C).
        head: config of a head with ``num_classes``, ``in_channels``, ``forward`` and ``loss``,
            such as ``LinearClsHead``.
        pooling: config of a module that turns the backbone's output into (B, C); None for a
            backbone that outputs (B, C).
        data_preprocessor: None means ``dict(type='ClsDataPreprocessor')``.
        input_norm: norm of the images before the backbone, such as ``dict(type='BN', affine=False,
            momentum=None)``: the mean and std of the training images, which
            ``data_preprocessor`` need not know. For training from scratch; None for published
            weights, which bring their own mean and std.
        train_cfg: ``augments`` and ``probs`` of ``RandomBatchAugment``, for training only.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with the file of a classifier; see
            ``detkit.models.weights.classifier_weights``.

    Raises:
        ConfigError: modules that do not fit together, or invalid arguments.
    """

    task = "classification"
    init_cfg: dict[str, Any] | list[dict[str, Any]] | None

    def __init__(
        self,
        backbone: Mapping[str, Any],
        head: Mapping[str, Any],
        pooling: Mapping[str, Any] | None = _DEFAULT_POOLING,
        data_preprocessor: Mapping[str, Any] | nn.Module | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        input_norm: Mapping[str, Any] | None = None,
    ) -> None:
        preprocessor = data_preprocessor or {"type": "ClsDataPreprocessor"}
        if not isinstance(preprocessor, nn.Module):
            # Built here: mmengine's registry finds detkit's types only within a config's scope.
            preprocessor = build_module("model.data_preprocessor", preprocessor,
                                        "ClsDataPreprocessor")
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.backbone = build_module("model.backbone", backbone, "SwinTransformer")
        self.input_norm: nn.Module | None = None
        if input_norm is not None:
            self.input_norm = build_norm("model.input_norm", input_norm, _IMAGE_CHANNELS)
        self.pooling = None
        if pooling is not None:
            self.pooling = build_module("model.pooling", pooling, "GlobalAveragePooling")
        self.head = build_module("model.head", head, "LinearClsHead")
        self.batch_augments = RandomBatchAugment.from_train_cfg(train_cfg)
        self._check_channels()

    def _check_channels(self) -> None:
        """Compare the backbone's channels with the head's, where pooling keeps channels."""
        backbone_channels = getattr(self.backbone, "feature_channels", None)
        if not backbone_channels or not isinstance(self.pooling,
                                                   (GlobalAveragePooling, type(None))):
            return
        if self.head.in_channels != backbone_channels[-1]:
            raise ConfigError(
                f"model.head.in_channels does not fit the backbone {type(self.backbone).__name__}",
                got=self.head.in_channels,
                expected=f"{backbone_channels[-1]}, the channels of the backbone's last level",
                hint=f"set model.head.in_channels={backbone_channels[-1]}",
            )

    def init_weights(self) -> None:
        """Initialize every module, then apply ``init_cfg``, a checkpoint last.

        Raises:
            ConfigError: a step without a type, or a 'Pretrained' step without a checkpoint.
            WeightsError: the file cannot be read, or does not fit.
        """
        init_cfg, already_initialized = self.init_cfg, self.is_init
        self.init_cfg = None
        try:
            super().init_weights()
        finally:
            self.init_cfg = init_cfg
        if init_cfg and not already_initialized:
            from detkit.models.weights.classifier_weights import initialize_classifier

            initialize_classifier(self, init_cfg)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Normalized images (B, 3, H, W) -> features (B, C). B may be 0.

        Raises:
            ConfigError: the output is neither maps nor vectors, or maps without pooling.
        """
        features = self.backbone(inputs if self.input_norm is None else self.input_norm(inputs))
        if self.pooling is not None:
            pooled: Tensor = self.pooling(features)
            return pooled
        last = last_feature(features)
        if last.ndim != 2:
            raise ConfigError("model.pooling: the backbone outputs maps", got="pooling=None",
                              expected="dict(type='GlobalAveragePooling')")
        return last

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None = None,
        mode: str = "tensor",
    ) -> Tensor | dict[str, Tensor] | list[DataSample]:
        """Compute logits, the loss or predictions.

        Args:
            inputs: (B, 3, H, W) float, from the data preprocessor. B may be 0.
            data_samples: of the B images; 'loss' needs their ``gt_label``.
            mode: 'tensor', 'loss' or 'predict'.

        Returns:
            'tensor': logits (B, K). 'loss': ``loss``, 0-d. 'predict': the samples, new ones where
            ``data_samples`` is None, with ``pred_scores`` on the CPU.

        Raises:
            ConfigError: modules that do not fit together.
            DataError: for 'loss', a sample without a label, or with one outside 0..K-1; a batch
                of one image, which a batch norm cannot train on.
            ValueError: another mode.
        """
        if mode == "tensor":
            logits: Tensor = self.head(self.extract_feat(inputs))
            return logits
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "predict":
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode: got {mode!r}, expected 'tensor', 'loss' or 'predict'")

    def loss(self, inputs: Tensor, data_samples: list[DataSample] | None) -> dict[str, Tensor]:
        """Compute the loss of a batch; see ``forward``."""
        labels = _gather_labels(data_samples, self.head.num_classes).to(inputs.device)
        if self.batch_augments is not None and self.training:
            inputs, labels = self.batch_augments(inputs, labels, self.head.num_classes)
        try:
            losses: dict[str, Tensor] = self.head.loss(self.extract_feat(inputs), labels)
        except ValueError as error:
            if len(inputs) != 1 or "more than 1 value per channel" not in str(error):
                raise
            raise DataError(
                "a batch of one image is too small for the model's batch norm", got=1,
                expected="two or more", hint="pass --cfg-options train_dataloader.drop_last=True, "
                "or a larger train_dataloader.batch_size",
            ) from error
        return losses

    def predict(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Predict class scores; see ``forward``."""
        logits = self.head(self.extract_feat(inputs))
        # One copy for the batch instead of one for each image.
        scores = logits.detach().float().softmax(1).cpu()
        samples = data_samples or [DataSample() for _ in scores]
        for sample, image_scores in zip(samples, scores, strict=True):
            sample.pred_scores = image_scores
        return samples


def _gather_labels(samples: Sequence[DataSample] | None, num_classes: int) -> Tensor:
    """The labels of the samples, (B,) int64.

    Raises:
        DataError: no samples, one without a label, or a label outside 0..K-1.
    """
    if samples is None or any("gt_label" not in sample for sample in samples):
        missing = next((_image_name(s) for s in samples or [] if "gt_label" not in s), "")
        raise DataError("a training image has no class", got=missing or "no data_samples",
                        expected="gt_label of each",
                        hint="end the pipeline with PackInputs")
    if not samples:
        return torch.zeros(0, dtype=torch.int64)
    labels = torch.stack([sample.gt_label for sample in samples])
    check_labels(labels, num_classes, [_image_name(sample) for sample in samples])
    return labels


def _image_name(sample: DataSample) -> str:
    path = sample.get("img_path")
    return f"image '{path}'" if path else "an image without a path"
