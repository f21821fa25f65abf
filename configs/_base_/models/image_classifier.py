"""An image classifier with a linear head; a config adds the backbone.

``num_classes`` is inferred from the data, ``in_channels`` from the backbone.
"""

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    head=dict(type="LinearClsHead", loss=dict(type="SoftCrossEntropyLoss")),
)
