"""Short training from scratch, a few hundred images on a CPU: cosine, warm-up, EMA."""

max_epochs = 30
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=5)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        convert_to_iter_based=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        eta_min_ratio=0.01,
    ),
]

# bfloat16 where the processor supports it in hardware, else float32.
optim_wrapper = dict(
    type="AmpOptimWrapper",
    dtype="auto",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0)),
    ),
)

# Averages about the last 1 / momentum steps; 0.0001 would suit runs of many thousand steps.
custom_hooks = [dict(type="EMAHook", momentum=0.02)]

# lr is for 16 images a step; --auto-scale-lr scales it linearly to the run's batch size.
auto_scale_lr = dict(enable=False, base_batch_size=16)
