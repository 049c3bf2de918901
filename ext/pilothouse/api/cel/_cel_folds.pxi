# The macros that walk a list or a map. Included by _cel.pyx.
#
# cel-go expands a macro into a loop over `accu = step(accu, item)`; the costs here are those of its
# loops: an accumulator that is read costs 1, a call of `@not_strictly_false`, `!`, `+` or `@mapInsert` 1,
# a new list 10.

cdef class Fold(Node):
    """The common part of all folds: the range,
    the slots of the variables (the second one is -1 if there is none)."""

    cdef Node range
    cdef Py_ssize_t first
    cdef Py_ssize_t second
    cdef Node test
    cdef Node value

    def __init__(self, Node range not None, Py_ssize_t first, Py_ssize_t second, Node test, Node value):
        self.range = range
        self.first = first
        self.second = second
        self.test = test
        self.value = value

    cdef list steps(self, Frame frame):
        """The values of the first variable; of both, as pairs, where there are two."""
        over = self.range.eval(frame)
        work(frame, len(over) if kind_of(over) in (K_LIST, K_MAP) else 1)
        if type(over) is list or isinstance(over, ListView):
            return list_items(over) if self.second < 0 else list(enumerate(list_items(over)))
        if type(over) is dict or isinstance(over, MapView):
            return map_keys(over) if self.second < 0 else entries_of(over)
        if self.second < 0:
            raise EvaluationError(f"got '{type_name(over)}', expected iterable type")
        raise EvaluationError(f"unsupported comprehension range type: {type_name(over)}")

    cdef inline void bind(self, Frame frame, object step):
        cdef list slots = frame.slots
        if self.second < 0:
            slots[self.first] = step
        else:
            slots[self.first] = (<tuple>step)[0]
            slots[self.second] = (<tuple>step)[1]


cdef class Quantifier(Fold):
    """`all` when `decisive` is False, `exists` when it is True."""

    cdef object decisive
    cdef cost_t overhead

    def __init__(
        self, Node range not None, Py_ssize_t first, Py_ssize_t second, Node test not None, decisive
    ):
        Fold.__init__(self, range, first, second, test, None)
        self.decisive = decisive
        self.overhead = 3 if decisive else 2

    cdef object eval(self, Frame frame):
        error = None
        decided = False
        for step in self.steps(frame):
            charge(frame, self.overhead)
            if decided:
                break
            charge(frame, 1)
            self.bind(frame, step)
            try:
                value = self.test.eval(frame)
            except CostLimitExceeded:
                raise
            except EvaluationError as err:
                if error is None:
                    error = err
                continue
            if value is self.decisive:
                decided = True
            elif type(value) is not bool and error is None:
                error = EvaluationError("no such overload")
        charge(frame, 1)
        if decided:
            return self.decisive
        if error is not None:
            raise error
        return not self.decisive


cdef class ExistsOne(Fold):
    """`existsOne`."""

    cdef object eval(self, Frame frame):
        cdef Py_ssize_t found = 0
        for step in self.steps(frame):
            self.bind(frame, step)
            value = self.test.eval(frame)
            if value is True:
                charge(frame, 2)
                found += 1
            elif value is not False:
                raise EvaluationError("no such overload")
        charge(frame, 2)
        return found == 1


cdef class ToList(Fold):
    """`map`, `filter`, `transformList`: a list of the values of the items that pass the test."""

    cdef cost_t each

    def __init__(
        self, Node range not None, Py_ssize_t first, Py_ssize_t second, Node test, Node value not None
    ):
        Fold.__init__(self, range, first, second, test, value)
        self.each = 2 if isinstance(value, Const) else 2 + LIST_COST

    cdef object eval(self, Frame frame):
        cdef list out = []
        for step in self.steps(frame):
            self.bind(frame, step)
            if self.test is not None:
                passed = self.test.eval(frame)
                if passed is False:
                    continue
                if passed is not True:
                    raise EvaluationError("no such overload")
            out.append(self.value.eval(frame))
            charge(frame, self.each)
        charge(frame, 1)
        return out


cdef class ToMap(Fold):
    """`transformMap`, and `transformMapEntry` when `entry`:
    there the value is a map whose entries are taken."""

    cdef bint entry

    def __init__(
        self, Node range not None, Py_ssize_t first, Py_ssize_t second, Node test, Node value not None,
        bint entry
    ):
        Fold.__init__(self, range, first, second, test, value)
        self.entry = entry

    cdef object eval(self, Frame frame):
        cdef dict out = {}
        for step in self.steps(frame):
            self.bind(frame, step)
            if self.test is not None:
                passed = self.test.eval(frame)
                if passed is False:
                    continue
                if passed is not True:
                    raise EvaluationError("no such overload")
            value = self.value.eval(frame)
            if self.entry:
                charge(frame, 2)
                for key, one in entries_of(value):
                    insert(out, key, one, frame)
            else:
                charge(frame, 3)
                insert(out, (<tuple>step)[0], value, frame)
        charge(frame, 1)
        return out


cdef int insert(dict out, object key, object value, Frame frame) except -1:
    if find_in(out, key, frame) is not MISSING:
        raise EvaluationError(f"insert failed: key {show(key)} already exists")
    out[key] = value
    return 0


cdef class Bind(Node):
    """`cel.bind(name, init, body)`; `init` is evaluated when the body first reads the name."""

    cdef Py_ssize_t slot
    cdef Node init
    cdef Node body

    def __init__(self, Py_ssize_t slot, Node init not None, Node body not None):
        self.slot = slot
        self.init = init
        self.body = body

    cdef object eval(self, Frame frame):
        cdef Lazy lazy = Lazy.__new__(Lazy)
        lazy.init = self.init
        frame.slots[self.slot] = lazy
        return self.body.eval(frame)
