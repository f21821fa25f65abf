"""A classifier of one linear layer; a config names its backbone.

``num_classes`` comes from the data, ``in_channels`` from the backbone.
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
