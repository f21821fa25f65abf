"""Short training from published weights, a small dataset on a CPU: half the rate of scratch.py."""

_base_ = "scratch.py"

optim_wrapper = dict(optimizer=dict(lr=5e-4))
