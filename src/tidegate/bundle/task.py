"""Whether a model answers with what its task words."""

from __future__ import annotations

from tidegate.spec import ModelSpec, TaskSpec

__all__ = ["disagreement"]


def disagreement(spec: ModelSpec, task: TaskSpec) -> str | None:
    """Say what of a task is not what its model answers with; None: all of it is.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec
    >>> spec = ModelSpec(row_size=2, layers=(LayerSpec("gru", 4),), output_size=1)
    >>> disagreement(spec, TaskSpec("classify", "late", classes=("no", "yes")))
    >>> disagreement(spec, TaskSpec("classify", "late", classes=("no",)))
    'task.classes are fewer than two'
    """
    owners = {
        "forecast": ("forecast",),
        "items": ("next_item", "language"),
        "anomaly": ("anomaly",),
    }
    for member, names in owners.items():
        if (getattr(task, member) is not None) != (task.name in names):
            return f"task.{member} does not go with the task {task.name}"
    if task.name in ("classify", "tag") and len(task.classes) < 2:
        return "task.classes are fewer than two"
    if len(set(task.classes)) < len(task.classes):
        return "task.classes holds one twice"
    if task.items is not None and task.items.top < 1:
        return "task.items.top is less than 1"
    if spec.output_size != task.output_size:
        return "the model's outputs are not those of its task"
    return _of_readout(spec, task)


def _of_readout(spec: ModelSpec, task: TaskSpec) -> str | None:
    top = task.items.top if task.items is not None and task.name == "next_item" else 0
    parts = task.anomaly.parts if task.anomaly is not None else ()
    if task.anomaly is not None and len(task.anomaly.fields) != len(parts):
        return "task.anomaly.fields are not as many as its parts"
    readout = "top" if top else "surprise" if parts else "outputs"
    if (spec.readout, spec.top, spec.parts) != (readout, top, parts):
        return "the model's readout is not that of its task"
    return None
