"""Every method on a ViT, a CNN, a BERT and a detector of torchvision: exported merged and as adapter, or refused.

The figure is the largest difference between an export and the run on its validation samples; an export that differs by
more than 1e-5 would be refused. `EXPORTS=detector` does one of the networks. Some ten CPU minutes in all.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from bench.deploy import load_model
from bench.deploy.export import export
from bench.errors import BadInput
from bench.methods import METHODS, Method
from bench.models import Timm, Torchvision
from bench.sites import CONV
from bench.tasks import CocoFolder, ImageFolder, TextCsv
from tests.deploy.conftest import BERT, VIT, kept_run, picture_folder, review_table
from tests.support.box_data import coco_folder

CNN = Timm("test_efficientnet", weights="random", image_size=32)
DETECTOR = Torchvision("retinanet_resnet50_fpn", weights="random", image_size=64)
RATES = {"detector": 1e-4}  # a random ResNet-50 diverges at more
LEFT_OUT = ("Together", "Peft")
"""Methods that are made of others; peft's tuners have a table of their own."""


def networks(folder: Path) -> dict[str, tuple[Any, Any]]:
    """Task and model of each."""
    pictures = ImageFolder(str(picture_folder(folder / "tones")))
    return {
        "ViT": (pictures, VIT),
        "CNN": (pictures, CNN),
        "BERT": (TextCsv(str(review_table(folder / "reviews.csv")), "review", "stars"), BERT),
        "detector": (CocoFolder(str(coco_folder(folder / "boxes", parts=("train", "val", "test")))), DETECTOR),
    }


def small(method: Method, network: str) -> Method:
    """Of a rank or width that tiny networks bear, on what the network has."""
    places = {"at": CONV} if hasattr(method, "at") and network in ("CNN", "detector") else {}
    return method.having(places | {name: 2 for name in ("rank", "width") if hasattr(method, name)})


def exported(trained: Any, to: str, folder: Path) -> str:
    """How far an export is from the run, or why there is none."""
    try:
        found = export(trained, to, folder)
    except BadInput as error:
        return f"refused: {str(error).split(' (')[0]}"
    return "own format" if found.difference is None else f"{found.difference:.0e}"


def run() -> list[tuple[str, str, str]]:
    """A row for every method and network: merged, adapter."""
    rows = list[tuple[str, str, str]]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["LORA_BENCH_CACHE"] = str(folder / "cache")
        wanted = os.environ.get("EXPORTS")
        for network, (task, model) in networks(folder).items():
            for name, one in METHODS.items() if network == (wanted or network) else ():
                if name in LEFT_OUT:
                    continue
                here = folder / network / name
                try:
                    run = kept_run(here, task, model, small(one(), network), lr=RATES.get(network, 1e-2))
                except BadInput as error:
                    rows.append((f"{network}: {name}", f"does not fit: {str(error).split(':')[0]}", ""))
                    continue
                trained = load_model(run, results=here, device="cpu")
                made = [exported(trained, to, here / to) for to in ("merged", "adapter")]
                rows.append((f"{network}: {name}", made[0], made[1]))
                print(*rows[-1], sep="  ", flush=True)
    return rows
