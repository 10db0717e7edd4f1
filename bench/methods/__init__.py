"""The methods. To add one: a file in this folder, a line here, a row in tests/training/test_method_checks.py.

- method: what every method is. branch: side branches, and how they merge. bottleneck: what the adapters share.
- low_rank: what updates beside a frozen weight share. together: several methods at once.
- peft_bridge: any tuner of the installed peft (PEFT.md). peft_layers: how what it makes hangs on the network.
- the others: a method each. README.md here has their table, and shows how one was added.
"""

from bench.methods.adalora import AdaLoRA
from bench.methods.adaptformer import AdaptFormer
from bench.methods.bitfit import BitFit
from bench.methods.conv_adapter import ConvAdapter
from bench.methods.convpass import Convpass
from bench.methods.dora import DoRA
from bench.methods.fact import FacT
from bench.methods.feature_lora import FeatureLoRA
from bench.methods.full import FullFineTuning
from bench.methods.houlsby import Houlsby
from bench.methods.ia3 import IA3
from bench.methods.last_blocks import LastBlocks
from bench.methods.layer_norm import LayerNormTuning
from bench.methods.loha import LoHa
from bench.methods.lokr import LoKr
from bench.methods.lora import LoRA
from bench.methods.lora_fa import LoRAFA
from bench.methods.lora_plus import LoRAPlus
from bench.methods.method import Method, merge
from bench.methods.oft import OFT
from bench.methods.peft_bridge import Peft
from bench.methods.pfeiffer import Pfeiffer
from bench.methods.pissa import PiSSA
from bench.methods.prefix_tuning import PrefixTuning
from bench.methods.probe import LinearProbe
from bench.methods.prompt_tuning import PromptTuning
from bench.methods.ssf import SSF
from bench.methods.together import Together
from bench.methods.vera import VeRA
from bench.methods.vpt import VPT

METHODS: dict[str, type[Method]] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, Method) and value is not Method
}
