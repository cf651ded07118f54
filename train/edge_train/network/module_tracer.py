"""A network as the calls of its modules."""

from __future__ import annotations

from torch import fx, nn


class ModuleTracer(fx.Tracer):
    """Sees every module that has no children as one step, torchvision's own among them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = super().is_leaf_module(m, module_qualified_name)
        return known or isinstance(m, nn.BatchNorm2d) or not list(m.children())
