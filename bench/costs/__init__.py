"""What a training step costs. README.md here answers "why does LoRA not save more memory?".

- memory: live bytes by part (weights, gradients, optimizer, activations). cuda_rules: what CUDA does otherwise.
- scratch: what kernels of convolutions and attention make and free on a CPU.
- allocator: what CUDA's caching allocator reserves. cuda_share: what CUDA takes beside tensors.
- quantised: bytes of weights in 8 and 4 bits.
- published: figures that others have published (published.toml), to hold estimates against.
- time: clocks and medians. energy: joules, where the device reports them. units: bytes as people write them.

`bench.training.memory_forecast` estimates a run's memory with these, `bench.training.inference` measures latency.
"""
