"""The rest of a request that waits for a commit: a task without the cost of one.

A task takes a turn of the loop to begin, another to hear that its future is done, and a third to tell of its
own end. A continuation hears of the future, goes on, and tells of its end in one.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF

import asyncio

from pilothouse.logs import Logger
from pilothouse.waiting import as_task

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN, PYGEN_ERROR, PYGEN_NEXT
    PySendResult PyIter_Send(object iterator, object arg, PyObject** result) except PYGEN_ERROR

cdef object log = Logger(__name__)


cdef class Continuation:
    """The outcome of a coroutine that has yielded the future `awaited`, after which it goes on in `context`.

    It has the methods of a task (asyncio.Task) and is awaited like one. The coroutine has no current task;
    if it waits once more, it goes on as one.
    """

    def __init__(self, coro not None, awaited not None, context not None):
        self.coro, self.awaited, self.context = coro, awaited, context
        self.callbacks = []
        self._asyncio_future_blocking = awaited._asyncio_future_blocking = False
        awaited.add_done_callback(self.go_on, context=context)

    def go_on(self, future):
        """Take the coroutine to its end, or to its next wait."""
        coro, self.coro = self.coro, None
        cdef PyObject* given = NULL
        try:
            if self.wants_cancel:
                following = coro.throw(asyncio.CancelledError())
            elif PyIter_Send(coro, None, &given) == PYGEN_RETURN:
                value = <object>given
                Py_XDECREF(given)
                self.end(value, None)
                return
            else:
                following = <object>given
                Py_XDECREF(given)
        except StopIteration as done:
            self.end(done.value, None)
        except (KeyboardInterrupt, SystemExit) as error:
            self.end(None, error)
            raise
        except BaseException as error:
            self.end(None, error)
        else:
            self.awaited = as_task(coro, following, self.context)
            self.awaited.add_done_callback(self.ended)

    def ended(self, task):
        """Take over the outcome of the task."""
        if task.cancelled():
            self.end(None, asyncio.CancelledError())
        else:
            error = task.exception()
            self.end(None if error is not None else task.result(), error)

    cdef end(self, value, error):
        self.value, self.error, self.awaited, self.context = value, error, None, None
        callbacks, self.callbacks = self.callbacks, []
        for callback, context in callbacks:
            try:
                if context is None:
                    callback(self)
                else:
                    context.run(callback, self)
            except Exception as failure:
                log.exception("A callback at the end of a request failed", err=failure)

    def add_done_callback(self, callback, *, context=None):
        """Have `callback` called with the continuation when it has ended."""
        if self.awaited is None:
            self.get_loop().call_soon(callback, self, context=context)
        else:
            self.callbacks.append((callback, context))

    def remove_done_callback(self, callback):
        """Forget a callback; how often it was there."""
        before = len(self.callbacks)
        self.callbacks = [one for one in self.callbacks if one[0] != callback]
        return before - len(self.callbacks)

    def get_loop(self):
        """The loop on which it runs."""
        return asyncio.get_running_loop()

    def cancel(self, msg=None):
        """Have the coroutine cancelled where it waits; False when it has ended."""
        if self.awaited is None:
            return False
        if not self.awaited.cancel():
            self.wants_cancel = True
        return True

    def done(self):
        """Whether there is an outcome."""
        return self.awaited is None

    def cancelled(self):
        """Whether the outcome is a cancellation."""
        return isinstance(self.error, asyncio.CancelledError)

    def exception(self):
        """The exception that has ended it, None for none; CancelledError, InvalidStateError."""
        if self.awaited is not None:
            raise asyncio.InvalidStateError("the request is being carried out")
        if self.cancelled():
            raise self.error
        return self.error

    def result(self):
        """The value, or the exception that has ended it; InvalidStateError."""
        if self.awaited is not None:
            raise asyncio.InvalidStateError("the request is being carried out")
        if self.error is not None:
            raise self.error
        return self.value

    def __await__(self):
        if self.awaited is not None:
            self._asyncio_future_blocking = True
            yield self
        return self.result()
