"""What of a training step is otherwise on CUDA than on a CPU and changes its memory: for traces without a GPU."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

IN_FLOAT32 = frozenset(
    {
        F.layer_norm, F.group_norm, F.softmax, F.log_softmax, F.softplus, F.cross_entropy, F.mse_loss, F.l1_loss,
        F.smooth_l1_loss, F.normalize, F.cosine_similarity, torch.softmax, torch.log_softmax, torch.exp, torch.log,
        torch.pow, torch.rsqrt, torch.sum, torch.cumsum, torch.prod, torch.norm, Tensor.softmax, Tensor.log_softmax,
        Tensor.exp, Tensor.log, Tensor.pow, Tensor.__pow__, Tensor.rsqrt, Tensor.sum, Tensor.cumsum, Tensor.prod,
        Tensor.norm,
    }
)  # fmt: skip
"""What CUDA's autocast computes in float32 and the CPU's in whatever it is given (torch's "Autocast Op Reference")."""

KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Of attention, all that a device may choose among."""


class CudaRules(TorchFunctionMode):
    """Within, a step on the CPU allocates as one on CUDA would.

    Autocast keeps the same operations in float32; and attention with dropout stays fused, as flash attention
    (arXiv:2205.14135) draws its dropout again in the backward pass, where the CPU's kernel would fall back to keeping
    every attention probability. Other dropout keeps a mask of one byte a value, where the CPU's is as wide as they are.
    """

    active: ClassVar[list[CudaRules]] = []

    def __enter__(self) -> CudaRules:
        """From here on, until the exit."""
        self.active.append(self)
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *error: Any) -> None:
        """As before again."""
        self.active.pop()
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls a function of torch with CUDA's precision."""
        kwargs = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            if len(args) > 4:
                args = (*args[:4], 0.0, *args[5:])
            elif "dropout_p" in kwargs:
                kwargs["dropout_p"] = 0.0
            with sdpa_kernel(KERNELS):  # whatever torch.backends.cuda.enable_flash_sdp and the like say
                return func(*args, **kwargs)
        elif func is F.dropout or func is torch.dropout:
            return _dropout(*args, **kwargs)
        elif func in IN_FLOAT32 and torch.is_autocast_enabled("cpu"):
            args, kwargs = tree_map(_float32, (args, kwargs))
        return func(*args, **kwargs)


def as_now() -> contextlib.AbstractContextManager[Any]:
    """A context with the rules, if they hold now: for what is computed again in the backward pass.

    torch switches a mode off while it handles `backward`, so that they would not hold there.
    """
    return CudaRules() if CudaRules.active else contextlib.nullcontext()


def _dropout(input: Tensor, p: float = 0.5, train: bool = True, inplace: bool = False, **named: bool) -> Tensor:
    """In one kernel, as on CUDA (in place or not)."""
    if not (named.get("training", train) and 0 < p < 1):
        return input
    dropped: Tensor = torch.native_dropout(input, p, True)[0]
    return input.copy_(dropped) if inplace else dropped


def _float32(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if half else value
