"""Options and arguments that several commands have."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trainingjob.adapters.kube import Cluster

Name = Annotated[str, typer.Argument(help="Name of the TrainingJob.", show_default=False)]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Namespace of the jobs. Default: that of the context.",
        show_default=False,
    ),
]  # fmt: skip
Context = Annotated[
    str | None,
    typer.Option(
        "--context", help="Context of the kubeconfig. Default: the current one.",
        show_default=False,
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def cluster(context: str | None, namespace: str | None) -> "Cluster":
    """Log in. Imported only here: the help of a command needs no client of Kubernetes."""
    from trainingjob.adapters.kube import Cluster

    return Cluster.connect(context, namespace)
