"""Why an execution does not do what it is told."""

from shared.errors import Conflict, Forbidden


class ExecutionEnded(Conflict):
    """The execution has ended, and what is asked for is for one that runs."""

    code = "execution_ended"


class ExecutionIsEnding(Conflict):
    """What the execution did is being undone, and it cannot be paused in that."""

    code = "execution_ending"


class ExecutionIsPaused(Conflict):
    """The execution is paused: resume it first."""

    code = "execution_paused"


class NotRetryable(Conflict):
    """The execution has not failed, or what it did was undone."""

    code = "execution_not_retryable"


class NothingToDecide(Conflict):
    """Nobody is asked for this decision, or it was made already."""

    code = "approval_not_pending"


class NotAssignee(Forbidden):
    """Others are asked for this decision."""

    code = "not_an_assignee"


class TooManySignals(Conflict):
    """The execution keeps as many signals as it may that no step has taken."""

    code = "too_many_signals"
