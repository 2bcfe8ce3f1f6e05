"""``io.taskgate.Gate``: what operators may ask and do. Every call is an event on the main loop.

A method is a module of this folder, a line here, its declaration in ``io.taskgate.Gate.varlink``, and the type of its
reply in ``protocol/replies``.
"""

from __future__ import annotations

import traceback
from importlib import resources

from taskgated.control import needs
from taskgated.control.asking import Asking
from taskgated.control.callers import Callers
from taskgated.control.cancel import Cancel
from taskgated.control.cancelarray import CancelArray
from taskgated.control.change import Change
from taskgated.control.hold import Hold
from taskgated.control.limit import Limit
from taskgated.control.list import List
from taskgated.control.logs import Logs
from taskgated.control.move import Move
from taskgated.control.pause import Pause
from taskgated.control.prioritize import Prioritize
from taskgated.control.reading import Outputs
from taskgated.control.release import Release
from taskgated.control.reload import Reload
from taskgated.control.resume import Resume
from taskgated.control.retry import Retry
from taskgated.control.show import Show
from taskgated.control.status import Status
from taskgated.control.tokens import Tokens
from taskgated.control.wait import Wait
from taskgated.control.waiting import Waiting
from taskgated.control.why import Why
from taskgated.core.fixed import INTERFACE
from taskgated.errors import (
    ConfigError,
    IllegalTransition,
    NoSuchArray,
    NoSuchJob,
    NoSuchQueue,
    NotTheirs,
    TaskgateError,
)
from taskgated.host.listeners import Listeners
from taskgated.host.paths import Layout
from taskgated.protocol import replies
from taskgated.protocol.replies import (
    BAD_CONFIGURATION,
    NO_SUCH_ARRAY,
    NO_SUCH_JOB,
    NO_SUCH_QUEUE,
    NOT_POSSIBLE,
    UNAVAILABLE,
)
from taskgated.protocol.varlink import Interface, Method, VarlinkError
from taskgated.store.reader import Reader


def gate_interface(
    layout: Layout,
    reader: Reader,
    callers: Callers,
    outputs: Outputs,
    work: needs.Work,
    health: needs.Health,
    over: Listeners[int],
    cancel: needs.Cancel,
    cancel_array: needs.CancelArray,
    hand: needs.Hand,
    by_hand: needs.JobsByHand,
    configuration: needs.Configuration,
    reload: needs.Reload,
) -> Interface:
    """``over`` tells the id of each job that is over, after the store has its end."""
    asking = Asking(reader)
    waiting = Waiting(work, health)
    change = Change(asking, configuration)
    methods: dict[str, Method] = {
        replies.STATUS.name: Status(asking, work, health, hand, configuration),
        replies.LIST.name: List(asking, configuration),
        replies.SHOW.name: Show(asking, waiting, configuration, layout),
        replies.WHY.name: Why(asking, waiting, configuration),
        replies.LOGS.name: Logs(asking, outputs, configuration, layout),
        replies.WAIT.name: Wait(asking, over, configuration),
        replies.CANCEL.name: Cancel(asking, cancel, configuration),
        replies.CANCEL_ARRAY.name: CancelArray(asking, cancel_array, configuration),
        replies.PAUSE.name: Pause(asking, hand, configuration),
        replies.RESUME.name: Resume(asking, hand, configuration),
        replies.LIMIT.name: Limit(asking, work, hand, configuration),
        replies.TOKENS.name: Tokens(hand, configuration),
        replies.HOLD.name: Hold(change, by_hand),
        replies.RELEASE.name: Release(change, by_hand),
        replies.RETRY.name: Retry(change, by_hand),
        replies.MOVE.name: Move(asking, change, by_hand, configuration),
        replies.PRIORITIZE.name: Prioritize(change, by_hand),
        replies.RELOAD.name: Reload(reload),
    }
    known = {
        name: method if name == replies.STATUS.name else callers.known(method) for name, method in methods.items()
    }
    return Interface(INTERFACE, description(), known, named)


def description() -> str:
    return resources.files(__package__).joinpath(f"{INTERFACE}.varlink").read_text("utf-8")


def named(error: Exception) -> VarlinkError:
    """Our errors by their names in the interface."""
    if isinstance(error, NoSuchJob):
        return VarlinkError(f"{INTERFACE}.{NO_SUCH_JOB}", id=error.job, message=str(error))
    if isinstance(error, NoSuchArray):
        return VarlinkError(f"{INTERFACE}.{NO_SUCH_ARRAY}", array=error.array, of=error.of, message=str(error))
    if isinstance(error, NoSuchQueue):
        return VarlinkError(f"{INTERFACE}.{NO_SUCH_QUEUE}", queue=error.queue, message=str(error))
    if isinstance(error, ConfigError):
        return VarlinkError(f"{INTERFACE}.{BAD_CONFIGURATION}", message=str(error))
    if isinstance(error, IllegalTransition | NotTheirs):
        return VarlinkError(f"{INTERFACE}.{NOT_POSSIBLE}", message=str(error))
    if not isinstance(error, TaskgateError):  # a bug: the client is told, and so is the journal; the gate goes on
        traceback.print_exception(error)
    return VarlinkError(f"{INTERFACE}.{UNAVAILABLE}", message=str(error) or repr(error))
