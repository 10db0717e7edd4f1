"""LoRA Bench: which fine-tuning method, with how much rank, and where in the network?"""

__version__ = "0.1.0"
