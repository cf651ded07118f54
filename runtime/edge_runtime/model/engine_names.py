"""The engines that run a model file, by name; every command waits for this module, so that it loads nothing."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

# `openvino-bf16` is OpenVINO in bfloat16, which gives other answers.
RuntimeEngine: TypeAlias = Literal["onnxruntime", "xnnpack", "openvino", "openvino-bf16"]
# What may be asked for by name, and auto: what was measured to be fastest.
EngineWish: TypeAlias = Literal["auto", "onnxruntime", "openvino", "xnnpack"]
RUNTIME_ENGINES: tuple[RuntimeEngine, ...] = get_args(RuntimeEngine)
# Below the cache folder: what was measured to be fastest.
CHOICES_FOLDER = "engines"
