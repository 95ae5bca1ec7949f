"""The GPU: whether there is one, what is missing if not, its memory, and waiting for it.

Tensors and modules go there by ``.to("cuda")`` and come back by ``.cpu()``; everything else is written as for the CPU.
Names follow `torch.cuda`; `why_not` and `allow_tf32` are our own.
"""

from minidl.backends.cuda.device import (
    allow_tf32,
    empty_cache,
    is_available,
    memory_stats,
    synchronize,
    why_not,
)

__all__ = ["allow_tf32", "empty_cache", "is_available", "memory_stats", "synchronize", "why_not"]
