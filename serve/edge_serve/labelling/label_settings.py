"""Everything `edge label` was asked for, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from edge_runtime import Setting, Threads, UsageError, check_settings
from edge_serve.http.hosts import HostCheck, is_address

OrderChoice: TypeAlias = Literal["auto", "uncertain", "valuable", "mistakes", "random", "file"]


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """What to label, where the labels go, and who may reach the page.

    `source` is a table with a column `path` or a folder of pictures; `out` None is `labels.csv` beside it.

    Raises UsageError where a value makes no sense.
    """

    source: Path
    out: Annotated[
        Path | None, Setting("Where the labels go, .csv or .tsv.", "FILE", shown_default="labels.csv beside it")
    ] = None
    model: Annotated[
        Path | None,
        Setting(
            "Model file that orders the pictures and suggests labels.", "FILE", shown_default="the table's answers"
        ),
    ] = None
    classes: Annotated[
        tuple[str, ...], Setting("A class, in the order of the keys; may be repeated.", "NAME", flag="--class")
    ] = ()
    order: Annotated[OrderChoice, Setting("What comes first; docs/labelling.md says what each is good for.")] = "auto"
    host: Annotated[str, Setting("Address to listen on; 0.0.0.0 for all, such as a phone's.", "ADDRESS")] = "127.0.0.1"
    port: Annotated[int, Setting("Port to listen on; 0 for any free one.", "N", at_least=0, at_most=65_535)] = 8001
    allow_hosts: Annotated[
        tuple[str, ...], Setting("Another name the server goes by; may be repeated.", "NAME", flag="--allow-host")
    ] = ()
    threads: Threads = None

    def __post_init__(self) -> None:
        check_settings(self)
        self.host_check()
        if self.order == "valuable" and self.model is None:
            raise UsageError(
                "`order` valuable needs the embeddings of a `model`",
                "edge export --with-embedding makes a file that gives them",
            )

    def host_check(self) -> HostCheck:
        """The check of the names that the server goes by: those allowed, and `host` where it is one."""
        return HostCheck((*self.allow_hosts, *(() if is_address(self.host) else (self.host,))))
