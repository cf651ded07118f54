"""What the presets of augmentation are called."""

from __future__ import annotations

from typing import Literal, TypeAlias

AugmentationName: TypeAlias = Literal["none", "light", "standard", "document", "medical", "camera-trap", "strong"]
