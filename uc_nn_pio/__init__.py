"""Trained PyTorch networks as fused C kernels inside an ordinary PlatformIO build."""

__version__ = "0.1.0"
