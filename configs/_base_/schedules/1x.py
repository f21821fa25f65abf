"""12 epochs, steps at 8 and 11, known as "1x"; AdamW as in the Swin paper (arXiv 2103.14030)."""

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys=dict(
            relative_position_bias_table=dict(decay_mult=0.0), grn=dict(decay_mult=0.0)
        ),
    ),
)

# lr is for 16 images a step; --auto-scale-lr scales it linearly to the run's batch size.
auto_scale_lr = dict(enable=False, base_batch_size=16)
