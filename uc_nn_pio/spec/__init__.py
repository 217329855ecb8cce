"""Model specs: YAML in, :class:`ModelSpec` out. docs/spec.md explains every key to users.

``keys.py`` has the table of keys, ``kinds.py`` what values can be, ``layers.py`` the classes of the inline list,
``document.py`` the YAML itself, ``loader.py`` what holds between keys, ``schema.py`` the schema for editors.
"""

from uc_nn_pio.spec.kinds import FILL_IN, LEAST
from uc_nn_pio.spec.loader import load_spec
from uc_nn_pio.spec.model import (
    CalibrationSpec,
    InputSpec,
    LayerSpec,
    MemorySpec,
    ModelSource,
    ModelSpec,
    OutputSpec,
    Preprocess,
    PythonEntry,
    ValidateSpec,
)

__all__ = [
    "FILL_IN",
    "LEAST",
    "CalibrationSpec",
    "InputSpec",
    "LayerSpec",
    "MemorySpec",
    "ModelSource",
    "ModelSpec",
    "OutputSpec",
    "Preprocess",
    "PythonEntry",
    "ValidateSpec",
    "load_spec",
]
