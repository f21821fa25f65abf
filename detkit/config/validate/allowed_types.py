"""The component types allowed in a checkpoint's config: safe to build from numbers and strings.

A test (tests/config/test_allowed_types.py) analyzes the source of each type and of everything that
it calls in mmdet, mmcv and mmengine: nothing executes a string, imports, opens a file or a URL, or
loads a pickle. All types of detkit and all layers of torch.nn are allowed.
"""

from __future__ import annotations

from typing import Any

# Packages whose registered types are all allowed.
_ALLOWED_PACKAGES = ("detkit", "torch.nn.modules")

# Operators that classes select by ``type``, which are in no registry: of mmcv.ops, and detkit's
# tail_nms beside them.
MMCV_OPS = frozenset({
    "RoIAlign", "RoIPool", "DeformRoIPool", "DeformRoIPoolPack", "ModulatedDeformRoIPoolPack",
    "SimpleRoIAlign", "nms", "soft_nms", "tail_nms",
})

# Values of ``type`` that are options of the class that reads them, not registered names.
NON_REGISTRY_TYPES = frozenset({"dilation", "offset", "conv", "interpolation_conv", "last_conv"})

# Arguments other than ``type`` that a class looks up in a registry, and their values that are not
# looked up.
REGISTRY_NAME_ARGUMENTS = {
    "padding_mode": frozenset({"zeros", "reflect", "replicate", "circular"}),
    "conv_type": frozenset[str](),
}


def _split_names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODEL_TYPES: dict[str, frozenset[str]] = {
    "mmcv.cnn.bricks": _split_names("""
        Clamp ContextBlock ConvModule Conv2dAdaptivePadding ConvWS2d ConvAWS2d DropPath Dropout
        GeneralizedAttention HSigmoid NonLocal2d Swish MultiheadAttention FFN
        BaseTransformerLayer TransformerLayerSequence PixelShufflePack Conv3d Conv2d
        ConvTranspose2d ConvTranspose3d
    """),
    "mmcv.ops": _split_names("""
        CARAFEPack CrissCrossAttention DeformConv2dPack ModulatedDeformConv2dPack
        MultiScaleDeformableAttention SAConv2d SyncBatchNorm
    """),
    "mmdet.models.backbones": _split_names("""
        CSPDarknet CSPNeXt Darknet DetectoRS_ResNet DetectoRS_ResNeXt EfficientNet HourglassNet
        HRNet MobileNetV2 PyramidVisionTransformer PyramidVisionTransformerV2 RegNet Res2Net
        ResNeSt ResNet ResNetV1d ResNeXt SSDVGG SwinTransformer TridentResNet
    """),
    "mmdet.models.data_preprocessors": _split_names("""
        DetDataPreprocessor BatchSyncRandomResize BatchFixedSizePad MultiBranchDataPreprocessor
        BatchResize BoxInstDataPreprocessor
    """),
    "mmdet.models.dense_heads": _split_names("""
        AnchorFreeHead AnchorHead ATSSHead AutoAssignHead BoxInstBboxHead BoxInstMaskHead
        StageCascadeRPNHead CascadeRPNHead CenterNetHead CenterNetUpdateHead CentripetalHead
        CondInstBboxHead CondInstMaskHead ConditionalDETRHead CornerHead DABDETRHead DDODHead
        DDQDETRHead DeformableDETRHead DETRHead DINOHead EmbeddingRPNHead FCOSHead FoveaHead
        FreeAnchorRetinaHead FSAFHead GARetinaHead GARPNHead GFLHead GuidedAnchorHead LDHead
        Mask2FormerHead MaskFormerHead NASFCOSHead PAAHead PISARetinaHead PISASSDHead
        RepPointsHead RetinaHead RetinaSepBNHead RPNHead RTMDetHead RTMDetSepBNHead
        RTMDetInsHead RTMDetInsSepBNHead SABLRetinaHead SOLOHead DecoupledSOLOHead
        DecoupledSOLOLightHead SOLOV2Head SSDHead TOODHead VFNetHead YOLACTHead YOLACTProtonet
        YOLOV3Head YOLOFHead YOLOXHead
    """),
    "mmdet.models.detectors": _split_names("""
        ATSS AutoAssign DetectionTransformer BoxInst CascadeRCNN CenterNet CondInst
        ConditionalDETR CornerNet CrowdDet DABDETR DDOD DDQDETR DeformableDETR DETR DINO
        FastRCNN FasterRCNN FCOS FOVEA FSAF GFL GridRCNN HybridTaskCascade Mask2Former MaskRCNN
        MaskScoringRCNN MaskFormer NASFCOS PAA PanopticFPN TwoStagePanopticSegmentor PointRend
        QueryInst RepPointsDetector RetinaNet RPN RTMDet SCNet SemiBaseDetector
        SingleStageDetector SingleStageInstanceSegmentor SoftTeacher SOLO SOLOv2 SparseRCNN TOOD
        TridentFasterRCNN TwoStageDetector VFNet YOLACT YOLOV3 YOLOF YOLOX
    """),
    "mmdet.models.layers": _split_names("""
        FrozenBatchNorm2d DropBlock ExpMomentumEMA MSDeformAttnPixelDecoder NormedLinear
        NormedConv2d PixelDecoder TransformerEncoderPixelDecoder SinePositionalEncoding
        LearnedPositionalEncoding SinePositionalEncoding3D DynamicConv
    """),
    "mmdet.models.losses": _split_names("""
        AssociativeEmbeddingLoss BalancedL1Loss CrossEntropyLoss CrossEntropyCustomLoss DiceLoss
        EQLV2Loss FocalLoss FocalCustomLoss GaussianFocalLoss QualityFocalLoss
        DistributionFocalLoss GHMC GHMR IoULoss BoundedIoULoss GIoULoss DIoULoss CIoULoss
        EIoULoss SIoULoss KnowledgeDistillationKLDivLoss L2Loss MarginL2Loss MSELoss
        MultiPosCrossEntropyLoss SeesawLoss SmoothL1Loss L1Loss TripletLoss VarifocalLoss
    """),
    "mmdet.models.necks": _split_names("""
        BFP ChannelMapper CSPNeXtPAFPN CTResNetNeck DilatedEncoder DyHead FPG FPN FPN_CARAFE
        FPN_DropBlock HRFPN NASFPN NASFCOS_FPN PAFPN RFP SSDNeck SSH YOLOV3Neck YOLOXPAFPN
    """),
    "mmdet.models.roi_heads": _split_names("""
        BBoxHead ConvFCBBoxHead Shared2FCBBoxHead Shared4Conv1FCBBoxHead DIIHead
        DoubleConvFCBBoxHead MultiInstanceBBoxHead SABLHead SCNetBBoxHead CascadeRoIHead
        DoubleHeadRoIHead DynamicRoIHead GridRoIHead HybridTaskCascadeRoIHead CoarseMaskHead
        DynamicMaskHead FCNMaskHead FeatureRelayHead FusedSemanticHead GlobalContextHead
        GridHead HTCMaskHead MaskPointHead MaskIoUHead SCNetMaskHead SCNetSemanticHead
        MaskScoringRoIHead MultiInstanceRoIHead PISARoIHead PointRendRoIHead GenericRoIExtractor
        SingleRoIExtractor SCNetRoIHead ResLayer SparseRoIHead StandardRoIHead TridentRoIHead
    """),
    "mmdet.models.seg_heads": _split_names("""
        BaseSemanticHead PanopticFPNHead BasePanopticFusionHead HeuristicFusionHead
        MaskFormerFusionHead
    """),
    "mmdet.models.task_modules": _split_names("""
        ApproxMaxIoUAssigner ATSSAssigner CenterRegionAssigner DynamicSoftLabelAssigner
        GridAssigner HungarianAssigner BboxOverlaps2D BBoxL1Cost IoUCost ClassificationCost
        FocalLossCost BinaryFocalLossCost DiceCost CrossEntropyLossCost MaxIoUAssigner
        MultiInstanceAssigner PointAssigner RegionAssigner SimOTAAssigner TaskAlignedAssigner
        TopkHungarianAssigner UniformAssigner BucketingBBoxCoder DeltaXYWHBBoxCoder
        DistancePointBBoxCoder LegacyDeltaXYWHBBoxCoder PseudoBBoxCoder TBLRBBoxCoder
        YOLOBBoxCoder AnchorGenerator SSDAnchorGenerator LegacyAnchorGenerator
        LegacySSDAnchorGenerator YOLOAnchorGenerator PointGenerator MlvlPointGenerator
        CombinedSampler InstanceBalancedPosSampler IoUBalancedNegSampler MaskPseudoSampler
        MultiInsRandomSampler OHEMSampler PseudoSampler RandomSampler ScoreHLRSampler
    """),
    "mmengine.model": _split_names("""
        BaseDataPreprocessor ImgDataPreprocessor
    """),
    "mmengine.utils": _split_names("""
        SyncBatchNorm
    """),
}
TRANSFORM_TYPES: dict[str, frozenset[str]] = {
    "mmcv.transforms": _split_names("""
        ToTensor ImageToTensor Normalize Resize Pad CenterCrop RandomGrayscale MultiScaleFlipAug
        TestTimeAug RandomFlip Compose KeyMapper TransformBroadcaster RandomChoice RandomApply
    """),
    "mmdet.datasets.transforms": _split_names("""
        RandAugment ColorTransform Color Brightness Contrast Sharpness Solarize SolarizeAdd
        Posterize Equalize AutoContrast Invert PackDetInputs ToTensor ImageToTensor Transpose
        WrapFieldsToLists GeomTransform ShearX ShearY Rotate TranslateX TranslateY Resize
        FixScaleResize FixShapeResize RandomFlip RandomShift Pad RandomCrop SegRescale
        PhotoMetricDistortion Expand MinIoURandomCrop RandomCenterCropPad CutOut RandomAffine
        YOLOXHSVRandomAug RandomErasing MultiBranch RandomOrder ProposalBroadcaster
    """),
}

# Datasets in COCO format. With the arguments in DATASET_ARGUMENTS they read nothing but their json
# annotation file.
DATASET_TYPES: dict[str, frozenset[str]] = {
    "mmdet.datasets": _split_names("""
        CocoDataset CityscapesDataset DeepFashionDataset iSAIDDataset LVISV05Dataset LVISV1Dataset
        Objects365V1Dataset Objects365V2Dataset
    """),
}
DATASET_ARGUMENTS = frozenset({
    "type", "ann_file", "data_root", "data_prefix", "metainfo", "filter_cfg", "indices",
    "serialize_data", "pipeline", "test_mode", "lazy_init", "max_refetch", "seg_map_suffix",
    "return_classes",
})


def is_allowed_type(target: Any, types: dict[str, frozenset[str]]) -> bool:
    """Whether the registered class ``target`` is in ``types`` or in an allowed package."""
    module, name = str(getattr(target, "__module__", "")), getattr(target, "__name__", None)
    if any(module == package or module.startswith(f"{package}.") for package in _ALLOWED_PACKAGES):
        return True
    return any(name in names and (module == package or module.startswith(f"{package}."))
               for package, names in types.items())
