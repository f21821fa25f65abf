"""mmcv's operators on torchvision's kernels and plain torch: no compiler, every torch release."""
