"""Options that several commands have."""

from typing import Annotated

from typer import Option

UrlOption = Annotated[str, Option(envvar="SHOTPUT_URL", help="Where the service runs.")]
JsonOption = Annotated[bool, Option("--json", help="Print the answer as JSON.")]
TargetOption = Annotated[str | None, Option(help="Column of a CSV file that holds the label; never sent as an input.")]
ParamOption = Annotated[list[str] | None, Option(help="Parameter of the learner as key=value (value: JSON or text).")]
LOCAL = "http://127.0.0.1:8000"
