"""Graph, plan and placement become C. Templates lie in ``templates/`` (the model) and ``kernels/`` (the operators)."""

COMPILE_FLAGS = {"float32": ("-O1", "-fno-inline", "-ffp-contract=off")}
"""How a build compiles the C of each precision, behind its own flags; GCC's words.

Measured on LeNet-5 for RV32IMAC with GCC 12.2: -O2 spills registers around the soft-float calls (3 % more instructions,
252 instead of 188 bytes of stack). Without inlining each layer stays a function of its own, which profiles can name.
"""
