"""Ours beside its peers, in one run, in ratios: run by hand with ``python -m benchmarks``.

Every contender lives in a process of its own (``worker``), which keeps its memory and is told over
a pipe to do one turn at a time, so that contenders alternate (``runner``): whatever slows the
machine down for a while slows them all. Ratios are taken within a round, then their median.
"""
