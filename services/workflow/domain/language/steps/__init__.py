"""The steps of a definition, one struct per type. A new type is a new struct in one of these files, and named here."""

from typing import TypeAlias

from services.workflow.domain.language.steps import base, flow, waits
from services.workflow.domain.language.steps.base import COMPENSATE, ON_ERROR, STEPS, Branch, Group, StepBase
from services.workflow.domain.language.steps.data import EmitStep, TransformStep
from services.workflow.domain.language.steps.flow import ConditionalStep, ForeachStep, LoopStep, ParallelStep
from services.workflow.domain.language.steps.waits import ON_TIMEOUT, ApprovalStep, DelayStep, WaitForEventStep
from services.workflow.domain.language.steps.work import AgentStep, HttpStep, McpToolStep, RagQueryStep, WorkflowStep

Step: TypeAlias = (
    AgentStep
    | McpToolStep
    | HttpStep
    | RagQueryStep
    | WorkflowStep
    | ConditionalStep
    | ParallelStep
    | ForeachStep
    | LoopStep
    | DelayStep
    | WaitForEventStep
    | ApprovalStep
    | EmitStep
    | TransformStep
)

STEP_TYPES: dict[str, type[Step]] = {
    str(step_type.__struct_config__.tag): step_type
    for step_type in (
        AgentStep,
        McpToolStep,
        HttpStep,
        RagQueryStep,
        WorkflowStep,
        ConditionalStep,
        ParallelStep,
        ForeachStep,
        LoopStep,
        DelayStep,
        WaitForEventStep,
        ApprovalStep,
        EmitStep,
        TransformStep,
    )
}

# They decide which of the steps that they hold run; nothing else ends them.
HOLDERS = (ConditionalStep, ParallelStep, ForeachStep, LoopStep)

# Steps hold steps of every type: what the annotations in these modules call `Step` exists only now.
for _module in (base, flow, waits):
    vars(_module)["Step"] = Step

__all__ = [
    "COMPENSATE",
    "HOLDERS",
    "ON_ERROR",
    "ON_TIMEOUT",
    "STEPS",
    "STEP_TYPES",
    "AgentStep",
    "ApprovalStep",
    "Branch",
    "ConditionalStep",
    "DelayStep",
    "EmitStep",
    "ForeachStep",
    "Group",
    "HttpStep",
    "LoopStep",
    "McpToolStep",
    "ParallelStep",
    "RagQueryStep",
    "Step",
    "StepBase",
    "TransformStep",
    "WaitForEventStep",
    "WorkflowStep",
]
