"""mmcv's operators on torchvision's kernels and plain torch: no compiler, every torch release.

``finder`` answers for ``mmcv._ext`` when no compiled one is there, and ``extension`` holds the
table from mmcv's names to the functions below, with mmcv's signatures and outputs written in place.
Models keep calling ``mmcv.ops``; nothing here is called by name elsewhere.

============================== ==================== ===============================================
operator of mmcv               module               rests on
============================== ==================== ===============================================
nms, softnms, nms_match        nms                  torchvision's nms; numpy and torch
line_nms                       line_nms             plain torch
bbox_overlaps                  bbox_overlaps        plain torch
roi_align                      roi_align            torchvision's kernel on CUDA; on the CPU
                               roi_align_cpu        threaded products with the bilinear weights
roi_pool                       roi_pool             plain torch
deform_roi_pool                deform_roi_pool      torch's grid_sample, some regions at a time
deform_conv (DCNv1)            deform_conv          torchvision's deform_conv2d, both ways
modulated_deform_conv (DCNv2)  modulated_deform_... torchvision's deform_conv2d, both ways
ms_deform_attn                 ms_deform_attn       torch's grid_sample, level by level
masked_conv                    masked_conv          torch's indexing; mmcv multiplies. No backward
carafe, carafe_naive           carafe               plain torch, one pass a tap
sigmoid and softmax focal loss focal_loss           plain torch
CornerPool, point_sample       none                 mmcv itself has them in plain torch
============================== ==================== ===============================================

Any other operator of mmcv raises MissingOperatorError when it is called, and not before.

Half precision and autocast: operators work with autocast off, most in float32 at the least
(``arithmetic``), and round once when they write their outputs.
"""
