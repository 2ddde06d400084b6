"""Output mappings: `{field: JSONPath}` over a step's raw result, such as `{"total": "$.rows[0].sum"}`."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.workflow.domain.language.comparison import NOTHING
from services.workflow.domain.language.errors import ConditionInvalid, DefinitionInvalid, MappingUnresolved, fault
from services.workflow.domain.language.logic import LogicCompiler
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.queries import Visits, compile_singular
from services.workflow.domain.language.syntax import parse_query

Extract = Callable[[Any], Any]


class OutputMapping(msgspec.Struct, frozen=True):
    """A compiled mapping. `apply(result)` gives the object, or raises `MappingUnresolved` (or `ExpressionTooCostly`).

    A path of names and indexes gives its one value; any other query gives the list of what it selects.
    """

    fields: tuple[tuple[str, str, Extract], ...]

    def apply(self, result: Any) -> dict[str, Any]:
        mapped: dict[str, Any] = {}
        for name, path, extract in self.fields:
            value = extract(result)
            if value is NOTHING:
                raise MappingUnresolved(
                    f"The result has nothing at {path}, which output_mapping wants as {name!r}.",
                    details={"field": name, "path": path},
                )
            mapped[name] = value
        return mapped


def compile_mapping(paths: Mapping[str, str], at: str = "output_mapping") -> OutputMapping:
    """Compile a mapping. Raises `DefinitionInvalid` with one fault per bad path; `at` is put before their paths."""
    fields: list[tuple[str, str, Extract]] = []
    faults = []
    for name, path in paths.items():
        try:
            fields.append((name, path, _compile_path(path)))
        except ConditionInvalid as error:
            faults.append(fault(join_path(at, name), error.message, "mapping_invalid", error.position))
    if faults:
        raise DefinitionInvalid(faults)
    return OutputMapping(tuple(fields))


def _compile_path(text: str) -> Extract:
    path = parse_query(text)
    if path.singular_query():
        return compile_singular(path.segments)
    select = LogicCompiler(text).query(path)
    return lambda result: select(result, result, Visits())
