"""What griffe asks while it reads the code for the Python reference: a settings class gets a table of its fields.

Each field that is said in `Annotated[TYPE, Setting("What it does.", …)]` becomes a row of the class's "Attributes".
"""

from __future__ import annotations

import ast
from typing import Any

from griffe import (
    Alias,
    AliasResolutionError,
    Class,
    Docstring,
    Expr,
    ExprCall,
    ExprKeyword,
    ExprName,
    ExprSubscript,
    Extension,
)


class SettingTables(Extension):
    """Rows of the fields that have a Setting; their types as they are written, a name of choices as the choices."""

    def on_class(self, *, cls: Class, **kwargs: Any) -> None:
        """Called with each class when its package was read."""
        del kwargs
        rows = [row for attribute in cls.attributes.values() if (row := _row(attribute))]
        if rows:
            text, raises, errors = (cls.docstring.value if cls.docstring else "").partition("\nRaises:")
            table = "\n".join(["", "", "Attributes:", *rows, ""])
            cls.docstring = Docstring(text + table + raises + errors, parent=cls)
            # The table says it all once more.
            cls.members.pop("__init__", None)


def _row(attribute: Any) -> str:
    annotation = _resolved(attribute.annotation, "Annotated")
    if not isinstance(annotation, ExprSubscript) or str(annotation.left).rpartition(".")[2] != "Annotated":
        return ""
    kind, setting = annotation.slice.elements
    named = {each.name: each.value for each in setting.arguments if isinstance(each, ExprKeyword)}
    said = [each for each in setting.arguments if not isinstance(each, ExprKeyword)]
    default = said[3] if len(said) > 3 else named.get("shown_default")
    default = f"`{attribute.value}`" if default is None else _said(default)
    if "unit" in named:
        # What is said is of the flag, in the flag's unit.
        default += ", in the unit that the name ends in"
    attribute.annotation = _resolved(kind, "Literal")
    return f"    {attribute.name}: {_said(said[0])} Default: {default}."


def _said(expression: Any) -> str:
    """The words of a literal, of a name that was given one, or of str(NAME)."""
    if isinstance(expression, ExprCall) and str(expression.function) == "str":
        expression = expression.arguments[0]
    return str(ast.literal_eval(str(_value(expression))))


def _resolved(annotation: Any, wanted: str) -> Any:
    """What the alias `annotation` stands for, if that is a `wanted`; else itself."""
    value = _value(annotation)
    return value if isinstance(value, Expr) and str(value).startswith(f"{wanted}[") else annotation


def _value(expression: Any) -> Any:
    """What a name was given, wherever that was; of anything else itself."""
    if not isinstance(expression, ExprName):
        return expression
    try:
        found: Any = expression.parent.modules_collection[expression.canonical_path]
        return getattr(found.final_target if isinstance(found, Alias) else found, "value", expression)
    except (KeyError, AliasResolutionError):
        return expression
