"""Where the sites are: one table of suffix patterns for each class of residual block.

To add a backbone family, add its block class here (module and class name as in its library): the suffix of each
module below the block, and the role it plays. "first > last" is the stretch from the input of one module to the
output of another, where no one module holds it. `bench check` and the conformance tests tell whether it works.
"""

from __future__ import annotations

QKV = "q k v"  # a fused Linear whose output rows are queries, then keys, then values
VIT = {
    "attn.qkv": QKV,
    "attn.proj": "o",
    "mlp.fc1": "up",
    "mlp.fc1_g": "up",  # SwiGLU: a gate, and what passes it
    "mlp.fc1_x": "up",
    "mlp.fc2": "down",
    "mlp": "mlp",
}
EVA = {**VIT, "attn.q_proj": "q", "attn.k_proj": "k", "attn.v_proj": "v"}  # fused or apart

# transformers. `output.dense` also ends `attention.output.dense`: suffixes count from the block.
POST_LN_MLP = {"intermediate.dense": "up", "output.dense": "down", "intermediate.dense > output.dense": "mlp"}
BERT = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "o",
    **POST_LN_MLP,
}
QKV_APART = {"self_attn.q_proj": "q", "self_attn.k_proj": "k", "self_attn.v_proj": "v"}
MIXTRAL = {**QKV_APART, "self_attn.o_proj": "o"}  # its experts are no Linears
LLAMA = {
    **MIXTRAL,
    "mlp.gate_proj": "up",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
    "mlp": "mlp",
}

T5_ENCODER = {
    **{f"layer.0.SelfAttention.{each}": each for each in "qkvo"},
    "layer.1.DenseReluDense.wi": "up",
    "layer.1.DenseReluDense.wi_0": "up",
    "layer.1.DenseReluDense.wi_1": "up",
    "layer.1.DenseReluDense.wo": "down",
    "layer.1.DenseReluDense": "mlp",
}
CROSS = {f"encoder_attn.{each}_proj": each for each in "qkv"} | {"encoder_attn.out_proj": "o"}
BART = {**QKV_APART, "self_attn.out_proj": "o", "fc1": "up", "fc2": "down", "fc1 > fc2": "mlp"}

BLOCKS: dict[str, dict[str, str]] = {
    "vision_transformer.Block": VIT,
    "swin_transformer.SwinTransformerBlock": VIT,
    "swin_transformer_v2.SwinTransformerV2Block": VIT,
    "beit.Block": VIT,
    "vision_transformer.ResPostBlock": VIT,
    "vision_transformer_relpos.RelPosBlock": VIT,
    "vision_transformer_relpos.ResPostRelPosBlock": VIT,
    "vision_transformer_sam.Block": VIT,
    "eva.EvaBlock": EVA,
    "eva.EvaBlockPostNorm": EVA,
    "convnext.ConvNeXtBlock": {"conv_dw": "dwconv", "mlp.fc1": "up", "mlp.fc2": "down", "mlp": "mlp"},
    "resnet.BasicBlock": {"conv1": "conv", "conv2": "proj", "bn2": "branch"},
    "resnet.Bottleneck": {"conv1": "conv", "conv2": "conv", "conv3": "proj", "bn3": "branch"},
    "_efficientnet_blocks.InvertedResidual": {
        "conv_pw": "conv",
        "conv_dw": "dwconv",
        "conv_pwl": "proj",
        "bn3": "branch",
    },
    "_efficientnet_blocks.DepthwiseSeparableConv": {"conv_dw": "dwconv", "conv_pw": "proj", "bn2": "branch"},
    "_efficientnet_blocks.EdgeResidual": {"conv_exp": "conv", "conv_pwl": "proj", "bn2": "branch"},
    "_efficientnet_blocks.ConvBnAct": {"conv": "proj", "bn1": "branch"},
    "_efficientnet_blocks.UniversalInvertedResidual": {
        "dw_start.conv": "dwconv",
        "pw_exp.conv": "conv",
        "dw_mid.conv": "dwconv",
        "pw_proj.conv": "proj",
        "pw_proj.bn": "branch",
    },
    "modeling_bert.BertLayer": BERT,
    "modeling_roberta.RobertaLayer": BERT,
    "modeling_xlm_roberta.XLMRobertaLayer": BERT,
    "modeling_camembert.CamembertLayer": BERT,
    "modeling_electra.ElectraLayer": BERT,
    "modeling_deberta_v2.DebertaV2Layer": {
        "attention.self.query_proj": "q",
        "attention.self.key_proj": "k",
        "attention.self.value_proj": "v",
        "attention.output.dense": "o",
        **POST_LN_MLP,
    },
    "modeling_mpnet.MPNetLayer": {
        "attention.attn.q": "q",
        "attention.attn.k": "k",
        "attention.attn.v": "v",
        "attention.attn.o": "o",
        **POST_LN_MLP,
    },
    "modeling_albert.AlbertLayer": {  # one layer that runs many times: one block here, one set of branches
        "attention.query": "q",
        "attention.key": "k",
        "attention.value": "v",
        "attention.dense": "o",
        "ffn": "up",
        "ffn_output": "down",
        "ffn > ffn_output": "mlp",
    },
    "modeling_distilbert.TransformerBlock": {
        "attention.q_lin": "q",
        "attention.k_lin": "k",
        "attention.v_lin": "v",
        "attention.out_lin": "o",
        "ffn.lin1": "up",
        "ffn.lin2": "down",
        "ffn": "mlp",
    },
    "modeling_modernbert.ModernBertEncoderLayer": {
        "attn.Wqkv": QKV,
        "attn.Wo": "o",
        "mlp.Wi": "up",
        "mlp.Wo": "down",
        "mlp": "mlp",
    },
    "modeling_gpt2.GPT2Block": {
        "attn.c_attn": QKV,
        "attn.c_proj": "o",
        "mlp.c_fc": "up",
        "mlp.c_proj": "down",
        "mlp": "mlp",
    },
    "modeling_llama.LlamaDecoderLayer": LLAMA,
    "modeling_mistral.MistralDecoderLayer": LLAMA,
    "modeling_qwen2.Qwen2DecoderLayer": LLAMA,
    "modeling_qwen3.Qwen3DecoderLayer": LLAMA,
    "modeling_gemma.GemmaDecoderLayer": LLAMA,
    "modeling_granite.GraniteDecoderLayer": LLAMA,
    "modeling_smollm3.SmolLM3DecoderLayer": LLAMA,
    "modeling_gemma2.Gemma2DecoderLayer": LLAMA,
    "modeling_gemma3.Gemma3DecoderLayer": LLAMA,
    "modeling_mixtral.MixtralDecoderLayer": MIXTRAL,
    "modeling_phi.PhiDecoderLayer": {
        **QKV_APART,
        "self_attn.dense": "o",
        "mlp.fc1": "up",
        "mlp.fc2": "down",
        "mlp": "mlp",
    },
    "modeling_phi3.Phi3DecoderLayer": {
        "self_attn.qkv_proj": QKV,
        "self_attn.o_proj": "o",
        "mlp.gate_up_proj": "up",
        "mlp.down_proj": "down",
        "mlp": "mlp",
    },
    "modeling_opt.OPTDecoderLayer": BART,
    "modeling_bart.BartEncoderLayer": BART,
    "modeling_mbart.MBartEncoderLayer": BART,
    "modeling_bart.BartDecoderLayer": {**BART, **CROSS},
    "modeling_mbart.MBartDecoderLayer": {**BART, **CROSS},
    "modeling_t5.T5Block": {  # a decoder's has attention to the encoder's output between attention and MLP
        **T5_ENCODER,
        **{f"layer.1.EncDecAttention.{each}": each for each in "qkvo"},
        **{key.replace("layer.1", "layer.2"): role for key, role in T5_ENCODER.items() if "Dense" in key},
    },
    "modeling_gpt_bigcode.GPTBigCodeBlock": {  # one key and one value for all heads (arXiv:1911.02150)
        "attn.c_attn": QKV,
        "attn.c_proj": "o",
        "mlp.c_fc": "up",
        "mlp.c_proj": "down",
        "mlp": "mlp",
    },
    "modeling_gpt_neox.GPTNeoXLayer": {  # rows of q, k and v alternate, head by head
        "attention.query_key_value": "qkv",
        "attention.dense": "o",
        "mlp.dense_h_to_4h": "up",
        "mlp.dense_4h_to_h": "down",
        "mlp": "mlp",
    },
    "modeling_falcon.FalconDecoderLayer": {
        "self_attention.query_key_value": "qkv",
        "self_attention.dense": "o",
        "mlp.dense_h_to_4h": "up",
        "mlp.dense_4h_to_h": "down",
        "mlp": "mlp",
    },
}

STEMS = {"patch_embed.proj": "patch", "stem.0": "patch", "conv_stem": "patch", "conv1": "patch", "conv1.0": "patch"}
