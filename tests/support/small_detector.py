"""A detector of one screen of code with every operator that engines find hard."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import DeformConv2d, nms, roi_align


class SmallDetector(nn.Module):
    """uint8 pictures (B, H, W, 3) and their valid (B, 2) to K boxes, scores, labels and counts."""

    def __init__(self, input_hw=(64, 96), results=8, classes=3):
        super().__init__()
        self.max_results, self.classes = results, classes
        self.stem = nn.Conv2d(3, 8, 3, 4, 1)
        self.offsets = nn.Conv2d(8, 27, 3, 1, 1)
        self.deformable = DeformConv2d(8, 8, 3, padding=1)
        self.objectness = nn.Conv2d(8, 1, 1)
        self.fc = nn.Linear(8 * 9, classes + 1)
        y, x = (torch.arange(side // 4) * 4.0 for side in input_hw)
        y, x = torch.meshgrid(y, x, indexing="ij")
        half = torch.tensor([-8.0, -8.0, 8.0, 8.0])
        anchors = torch.stack([x, y, x, y], -1).reshape(-1, 4) + half
        self.register_buffer("anchors", anchors)

    def forward(self, images: Tensor, image_hw: Tensor):
        batch, height, width = images.shape[0], images.shape[1], images.shape[2]
        inside = ((torch.arange(height).view(1, -1, 1) < image_hw[:, 0].view(-1, 1, 1))
                  & (torch.arange(width).view(1, 1, -1) < image_hw[:, 1].view(-1, 1, 1)))
        pixels = images.float() / 128 - 1
        pixels = torch.where(inside.unsqueeze(-1), pixels, torch.zeros_like(pixels))
        maps = F.relu(self.stem(pixels.permute(0, 3, 1, 2)))
        offset_and_mask = self.offsets(maps)
        maps = F.relu(
            self.deformable(maps, offset_and_mask[:, :18], offset_and_mask[:, 18:].sigmoid()))
        scores, topk_indices = self.objectness(maps).flatten(1).sigmoid().topk(30, dim=1)
        clip_bounds = torch.cat([image_hw.flip(1), image_hw.flip(1)], 1).unsqueeze(1).float()
        boxes = torch.minimum(self.anchors[topk_indices].clamp(min=0), clip_bounds)
        image = torch.arange(batch, dtype=torch.float32).view(-1, 1, 1).expand(-1, 30, 1)
        rois = torch.cat([image, boxes], -1).reshape(-1, 5)
        roi_features = roi_align(maps, rois, 3, 0.25, 2, True).flatten(1)
        classes = self.fc(roi_features).softmax(-1)[:, :-1].reshape(batch, 30, -1).flatten(1)
        class_boxes = boxes.unsqueeze(2).expand(-1, -1, self.classes, -1).reshape(batch, -1, 4)
        labels = torch.arange(self.classes).repeat(30).unsqueeze(0).expand(batch, -1)
        group = torch.arange(batch).unsqueeze(1) * self.classes + labels
        kept = nms((class_boxes + group.unsqueeze(-1) * 1000.0).reshape(-1, 4), classes.reshape(-1),
                   0.3)
        mask = torch.zeros_like(classes).reshape(-1).index_fill(0, kept, 1.0)
        top_scores, keep_indices = (classes * mask.reshape(classes.shape)).topk(
            self.max_results, dim=1)
        valid = top_scores > 0.2
        rows = keep_indices.unsqueeze(-1).expand(-1, -1, 4)
        return (torch.where(valid.unsqueeze(-1), class_boxes.gather(1, rows), 0.0),
                torch.where(valid, top_scores, 0.0),
                torch.where(valid, labels.gather(1, keep_indices), 0), valid.sum(1))
