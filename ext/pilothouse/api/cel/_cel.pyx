"""Evaluates checked CEL expressions over decoded JSON, and counts what that costs.

An expression is a tree of nodes, built once by api/cel/compiler.py. A node's `eval` gives the value of its
part of the expression: values are the Python objects a body was decoded to (dict, list, str, int, float,
bool, None) and the classes of _cel_values.pxi for what JSON does not have. Nothing is copied or converted,
but for values whose schema gives them another meaning than their JSON has (dates, durations, bytes, numbers,
lists that are sets or maps): they are seen through the views of _cel_views.pxi.

The cost is that of cel-go's interpreter (interpreter/runtimecost.go) with the calls of Kubernetes' libraries
(apiserver pkg/cel/library/cost.go). It is charged before the work is done, so that the limit bounds the work.
"""

from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.math cimport ceil, isnan

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1

ctypedef unsigned long long cost_t


class EvaluationError(Exception):
    """An expression has no value; the message is upstream's, `cost` what had been spent by then."""

    cost = 0


class CostLimitExceeded(EvaluationError):
    """The evaluation was stopped by its limit."""


cdef class Frame:
    """One evaluation: the values of the variables, and the cost so far."""

    cdef list slots
    cdef public cost_t cost
    cdef cost_t limit
    cdef cost_t work


cdef int over_limit(Frame frame) except -1:
    raise CostLimitExceeded("operation cancelled: actual cost limit exceeded")


cdef inline int charge(Frame frame, cost_t amount) except -1:
    frame.cost += amount
    if frame.cost > frame.limit:
        return over_limit(frame)
    return 0


cdef inline cost_t factor(cost_t size, double per_unit):
    """The cost of a walk over `size` units, rounded up."""
    return <cost_t>ceil(<double>size * per_unit)


DEF STRING_FACTOR = 0.1  # common.StringTraversalCostFactor
DEF REGEX_FACTOR = 0.25  # common.RegexStringLengthCostFactor
DEF LIST_COST = 10
DEF MAP_COST = 30
DEF STRUCT_COST = 40

include "_cel_values.pxi"
include "_cel_views.pxi"
include "_cel_compare.pxi"
include "_cel_arithmetic.pxi"
include "_cel_nodes.pxi"
include "_cel_calls.pxi"
include "_cel_folds.pxi"


cdef object MISSING = object()


def run(
    Node node not None, tuple names not None, tuple shapes not None, Py_ssize_t slots,
    dict bindings not None, cost_t limit
):
    """Evaluate: the value and its cost.

    `names` are the variables of the first slots and `shapes` how they are seen;
    `slots` is how many there are in all.

    Raises EvaluationError, which carries the cost.
    """
    cdef Frame frame = Frame.__new__(Frame)
    cdef list values = [MISSING] * slots
    cdef Py_ssize_t i
    cdef PyObject* found
    frame.slots = values
    frame.limit = limit
    frame.cost = 0
    for i in range(len(names)):
        found = PyDict_GetItem(bindings, names[i])
        if found != NULL:
            shape = shapes[i]
            values[i] = <object>found if shape is None else adapt(<object>found, <Shape>shape)
    try:
        value = node.eval(frame)
    except EvaluationError as err:
        err.cost = frame.cost
        raise
    except RecursionError:
        err = EvaluationError("expression recursion limit exceeded")
        err.cost = frame.cost
        raise err from None
    return value, frame.cost
