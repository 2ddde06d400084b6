"""Paths of steps as they run: `holder/step`, and `each[3]/step` inside the fourth iteration of `each`."""

from services.workflow.domain.language.program import Node


def name_of(path: str) -> str:
    """Return the name of the step that a path ends in."""
    return path[path.rfind("/") + 1 :]


def holder_of(path: str) -> str:
    """Return the path of the step that holds this one, "" for a step of the top."""
    at = path.rfind("/")
    if at < 0:
        return ""
    return path[: path.rfind("[", 0, at)] if path[at - 1] == "]" else path[:at]


def holder_path(node: Node, path: str) -> str:
    """Return the path of the step that holds this one: known beforehand, but where steps are repeated."""
    if node.parent is None:
        return ""
    return node.parent.path if node.repeats is None else holder_of(path)


def iteration_around(path: str) -> str:
    """Return the innermost iteration that a path is in (`a/each[3]`), "" if it is in none."""
    at = path.rfind("]/")
    return path[: at + 1] if at >= 0 else ""


def split_iteration(iteration: str) -> tuple[str, int]:
    """Return the path of the step that repeats, and which of its iterations this is."""
    at = iteration.rfind("[")
    return iteration[:at], int(iteration[at + 1 : -1])


def child(holder: str, node: Node) -> str:
    """Return the path of a step that `holder` holds, outside of its iterations."""
    return node.path if node.repeats is None else f"{holder}/{node.name}"


def in_iteration(holder: str, index: int, node: Node) -> str:
    """Return the path of a step in an iteration of `holder`."""
    return f"{holder}[{index}]/{node.name}"


def beside(path: str, node: Node) -> str:
    """Return the path of a step in the same list as `path`."""
    return node.path if node.repeats is None else f"{path[: path.rfind('/') + 1]}{node.name}"


def is_inside(path: str, holder: str) -> bool:
    """Whether a step runs inside another, in whatever depth."""
    return path.startswith(holder) and path[len(holder) : len(holder) + 1] in {"/", "["}
