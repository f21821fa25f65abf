"""mmcv's operators on torchvision's kernels and plain torch: no compiler, every torch release.

``finder`` provides ``mmcv._ext`` where no compiled one is installed, and ``extension`` has the
table from mmcv's names to the functions below, with mmcv's signatures and outputs written in place.
Models keep calling ``mmcv.ops``; nothing else calls these functions directly.

============================== ==================== ===============================================
operator of mmcv               module               implementation
============================== ==================== ===============================================
nms, softnms, nms_match        nms                  torchvision's nms; numpy and torch
line_nms                       line_nms             plain torch
bbox_overlaps                  bbox_overlaps        plain torch
roi_align                      roi_align            torchvision's kernel on CUDA; on the CPU
                                                    threaded products with the bilinear weights
roi_pool                       roi_pool             plain torch
deform_roi_pool                deform_roi_pool      torch's grid_sample, RoIs in batches
deform_conv (DCNv1)            deform_conv          torchvision's deform_conv2d
modulated_deform_conv (DCNv2)  modulated_deform_... torchvision's deform_conv2d
ms_deform_attn                 ms_deform_attn       torch's grid_sample, level by level
masked_conv                    masked_conv          torch's indexing; no backward
carafe, carafe_naive           carafe               plain torch, one pass for each tap
sigmoid and softmax focal loss focal_loss           plain torch
CornerPool, point_sample       none                 mmcv has them in plain torch
============================== ==================== ===============================================

Any other operator of mmcv raises MissingOperatorError when it is called.

Half precision and autocast: operators run with autocast off, most in float32 at least
(``precision``), and round once when they write their outputs.
"""
