"""The extras of the distribution: what each brings beyond the base install, and what of it is here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from edge_runtime.errors import MissingExtraError

_TRAIN = ("torch", "torchvision", "matplotlib", "jinja2", "pillow_heif")
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "train": _TRAIN,
    "timm": (*_TRAIN, "timm"),
    "hf": (*_TRAIN, "huggingface_hub", "safetensors"),
    "export": (*_TRAIN, "onnx", "onnxscript"),
    "prune": (*_TRAIN, "torch_pruning"),
    "tune": (*_TRAIN, "onnx", "onnxscript", "ray"),
    "bench": ("matplotlib",),
    "ray": ("ray", "pyarrow", "fsspec"),
    "parquet": ("pyarrow",),
    "heic": ("pillow_heif",),
    "fast": ("openvino",),
    "sign": ("cryptography",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "comet": ("comet_ml",),
    "serve": ("starlette", "uvicorn", "h11", "python_multipart", "prometheus_client", "pillow_heif"),
}


def package_version(name: str) -> str | None:
    """The version of a distribution as it is installed, None where it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def missing_package(extra: str) -> str | None:
    """The first package of `extra` that is not installed, None where all are; nothing is imported."""
    return next((package for package in EXTRAS[extra] if not _is_installed(package)), None)


def _is_installed(package: str) -> bool:
    # A folder of that name in the working directory, as wandb leaves one, is a package without an origin.
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def require_extra(extra: str) -> None:
    """Raise MissingExtraError where a package of `extra` is not installed."""
    if package := missing_package(extra):
        raise MissingExtraError(extra, package)
