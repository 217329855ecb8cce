"""Graph, plan and placement become C. Templates lie in ``templates/`` (the model) and ``kernels/`` (the operators)."""
