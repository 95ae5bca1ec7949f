"""Every speed claim of minidl, side by side with PyTorch in one run: ``python -m benchmarks`` from the checkout.

How to measure honestly, in the order in which one learns it:

1. **Compare, do not boast.** "0.8 ms" says more about the machine than about the code. What can be told is a *ratio*:
   PyTorch's time over minidl's, for the same work, in the same minutes. Above 1 means that minidl is faster.
2. **The same work.** Both build the network from one text (`networks.py`), take the same weights and the same data,
   and use as many threads. The loss of the first step, its gradients, and the result of each kernel must agree, or
   there is no row but an error.
3. **One at a time.** Each contender lives in a process of its own (`workers.py`). Two thread pools in one process fight
   for the cores; here one sleeps while the other is measured.
4. **In turn.** A B A B, not A A B B: if the machine is slower for a while, both meet it. A ratio is taken of
   neighbouring rounds, and of all ratios the median is told, with the quartiles that say how far to trust it.
5. **Medians, not means or minima.** One interruption spoils a mean; a minimum is a step that nobody ever sees twice.
6. **Warm up, then measure.** The first calls allocate, choose algorithms and fill caches. Samples are long against
   the resolution of the clock (`timing.py`).
7. **As people use it.** Defaults on both sides, eager mode, garbage collector on. Where PyTorch has a faster way that
   has to be asked for (``fused=True``), it stands in a row of its own.
8. **Numbers that stay ordinary.** The learning rate in a timed step is tiny. A network that has learned its batch by
   heart computes with zeros and denormals, and those take another time.
"""
