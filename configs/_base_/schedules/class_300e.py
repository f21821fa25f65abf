"""300 epochs of AdamW, cosine after 20 epochs of warm-up, as DeiT and Swin (2103.14030) train."""

max_epochs = 300
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=5)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.001,
        by_epoch=True,
        convert_to_iter_based=True,
        begin=0,
        end=20,
    ),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        convert_to_iter_based=True,
        begin=20,
        end=max_epochs,
        T_max=max_epochs - 20,
        eta_min_ratio=0.01,
    ),
]

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(
            relative_position_bias_table=dict(decay_mult=0.0),
            grn=dict(decay_mult=0.0),
            pos_embed=dict(decay_mult=0.0),
            cls_token=dict(decay_mult=0.0),
        ),
    ),
)

# Averages about the last 10,000 steps, and fewer at the beginning.
custom_hooks = [dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.0001, gamma=2000)]

# lr is for 1,024 images a step; --auto-scale-lr scales it linearly to the run's batch size.
auto_scale_lr = dict(enable=False, base_batch_size=1024)
