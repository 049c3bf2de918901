# The nodes of calls: operators first, then functions of the libraries. Included by _cel.pyx.

cdef cost_t equality_cost(object left, object right):
    cdef cost_t a, b
    if isinstance(left, Opaque):
        return 1
    a, b = cost_size(left), cost_size(right)
    return factor(a if a < b else b, STRING_FACTOR)


cdef class Equals(Node):
    """`a == b`, or `a != b` when negated."""

    cdef Node left
    cdef Node right
    cdef bint negated

    def __init__(self, Node left not None, Node right not None, bint negated):
        self.left = left
        self.right = right
        self.negated = negated

    cdef object eval(self, Frame frame):
        left = self.left.eval(frame)
        right = self.right.eval(frame)
        charge(frame, equality_cost(left, right))
        return same(left, right, frame) != self.negated


cdef enum Operator:
    O_LESS
    O_LESS_EQUAL
    O_GREATER
    O_GREATER_EQUAL
    O_ADD
    O_SUBTRACT
    O_MULTIPLY
    O_DIVIDE
    O_MODULO
    O_STARTS
    O_ENDS
    O_CONTAINS

cdef dict OPERATORS = {
    "_<_": O_LESS, "_<=_": O_LESS_EQUAL, "_>_": O_GREATER, "_>=_": O_GREATER_EQUAL,
    "_+_": O_ADD, "_-_": O_SUBTRACT, "_*_": O_MULTIPLY, "_/_": O_DIVIDE, "_%_": O_MODULO,
    "startsWith": O_STARTS, "endsWith": O_ENDS, "contains": O_CONTAINS,
}


cdef class Order(Node):
    """`a < b` and its like."""

    cdef Node left
    cdef Node right
    cdef int operator

    def __init__(self, str operator not None, Node left not None, Node right not None):
        self.operator = OPERATORS[operator]
        self.left = left
        self.right = right

    cdef object eval(self, Frame frame):
        cdef int found
        cdef cost_t size
        left = self.left.eval(frame)
        right = self.right.eval(frame)
        if type(left) is str or type(left) is bytes:
            size = min(cost_size(left), cost_size(right))
            charge(frame, factor(size, STRING_FACTOR))
        else:
            charge(frame, 1)
        found = compare(left, right)
        if self.operator == O_LESS:
            return found < 0
        if self.operator == O_LESS_EQUAL:
            return found <= 0
        if self.operator == O_GREATER:
            return found > 0
        return found >= 0


cdef class Arithmetic(Node):
    """`a + b` and its like."""

    cdef Node left
    cdef Node right
    cdef int operator

    def __init__(self, str operator not None, Node left not None, Node right not None):
        self.operator = OPERATORS[operator]
        self.left = left
        self.right = right

    cdef object eval(self, Frame frame):
        left = self.left.eval(frame)
        right = self.right.eval(frame)
        if self.operator == O_ADD:
            if type(left) is str or type(left) is bytes:
                charge(frame, factor(cost_size(left) + cost_size(right), STRING_FACTOR))
            else:
                charge(frame, 1)
            return add(left, right, frame)
        charge(frame, 1)
        if self.operator == O_SUBTRACT:
            return subtract(left, right)
        if self.operator == O_MULTIPLY:
            return multiply(left, right)
        if self.operator == O_DIVIDE:
            return divide(left, right)
        return modulo(left, right)


cdef class Negate(Node):
    """`-a`."""

    cdef Node operand

    def __init__(self, Node operand not None):
        self.operand = operand

    cdef object eval(self, Frame frame):
        value = self.operand.eval(frame)
        charge(frame, 1)
        return negate(value)


cdef class In(Node):
    """`a in b`."""

    cdef Node item
    cdef Node container

    def __init__(self, Node item not None, Node container not None):
        self.item = item
        self.container = container

    cdef object eval(self, Frame frame):
        item = self.item.eval(frame)
        container = self.container.eval(frame)
        if type(container) is list or isinstance(container, ListView):
            charge(frame, len(container))
        else:
            charge(frame, 1)
        return contains(container, item, frame)


cdef class InConstants(Node):
    """`a in [1, 2]`: a look-up that costs nothing."""

    cdef Node item
    cdef list values
    cdef frozenset known

    def __init__(self, Node item not None, list values not None):
        self.item = item
        self.values = values
        self.known = frozenset(value for value in values if type(value) is str)

    cdef object eval(self, Frame frame):
        item = self.item.eval(frame)
        if type(item) is str:
            return item in self.known
        for value in self.values:
            if same(value, item, None):
                return True
        return False


cdef class TextTest(Node):
    """`a.startsWith(b)`, `a.endsWith(b)`, `a.contains(b)`."""

    cdef Node target
    cdef Node argument
    cdef int operator

    def __init__(self, str operator not None, Node target not None, Node argument not None):
        self.operator = OPERATORS[operator]
        self.target = target
        self.argument = argument

    cdef object eval(self, Frame frame):
        target = self.target.eval(frame)
        argument = self.argument.eval(frame)
        cdef cost_t cost = factor(cost_size(target), STRING_FACTOR)
        if self.operator == O_CONTAINS:
            cost *= factor(cost_size(argument), STRING_FACTOR)
        charge(frame, cost)
        if type(target) is not str or type(argument) is not str:
            raise EvaluationError("no such overload")
        if self.operator == O_STARTS:
            return (<str>target).startswith(<str>argument)
        if self.operator == O_ENDS:
            return (<str>target).endswith(<str>argument)
        return <str>argument in <str>target


cdef class Size(Node):
    """`size(a)`, `a.size()`."""

    cdef Node operand

    def __init__(self, Node operand not None):
        self.operand = operand

    cdef object eval(self, Frame frame):
        value = self.operand.eval(frame)
        charge(frame, 1)
        kind = type(value)
        if kind is str or kind is bytes or kind is list or kind is dict:
            return len(value)
        if kind is ListView or kind is MapView:
            return len(value)
        raise EvaluationError("no such overload: size")


cdef dict GUARDS = {
    "null_type": K_NULL, "bool": K_BOOL, "int": K_INT, "uint": K_UINT, "double": K_DOUBLE, "string": K_STRING,
    "bytes": K_BYTES, "list": K_LIST, "map": K_MAP, "timestamp": K_TIMESTAMP, "duration": K_DURATION,
    "optional_type": K_OPTIONAL, "type": K_TYPE,
}


cdef class Candidate:
    """One signature of a function: what it takes, what it does, what it costs.

    guards: for each argument None, or the name that its type must have; cost:
    a number, or a function of the arguments.
    """

    cdef object function
    cdef tuple guards
    cdef object cost
    cdef cost_t fixed

    def __init__(self, function, tuple guards, cost):
        self.function = function
        self.guards = guards
        self.fixed = cost if type(cost) is int else 0
        self.cost = None if type(cost) is int else cost

    cdef bint takes(self, list values) except -1:
        cdef Py_ssize_t i
        if self.guards is None:
            return True
        for i in range(len(self.guards)):
            guard = self.guards[i]
            if guard is not None and not fits(guard, values[i]):
                return False
        return True


cdef bint fits(str guard, object value) except -1:
    cdef int kind = kind_of(value)
    wanted = GUARDS.get(guard)
    if wanted is not None:
        return kind == wanted
    return kind == K_OTHER and getattr(value, "type_name", "") == guard


cdef class Call(Node):
    """A call of a library's function: of the first candidate that takes the values."""

    cdef str name
    cdef list arguments
    cdef list candidates

    def __init__(self, str name not None, list arguments not None, list candidates not None):
        self.name = name
        self.arguments = arguments
        self.candidates = candidates

    cdef object eval(self, Frame frame):
        cdef list values = [(<Node>argument).eval(frame) for argument in self.arguments]
        cdef Candidate candidate
        for one in self.candidates:
            candidate = <Candidate>one
            if candidate.takes(values):
                charge(frame, candidate.fixed if candidate.cost is None else candidate.cost(*values))
                return candidate.function(*values)
        charge(frame, 1)
        kinds = ", ".join([type_name(value) for value in values])
        raise EvaluationError(f"no such overload: {self.name}({kinds})")


cdef class Otherwise(Node):
    """`optional.or(other)`, or `optional.orValue(value)` when it is to be unwrapped:
    the other one only if need be."""

    cdef Node target
    cdef Node other
    cdef bint unwrap

    def __init__(self, Node target not None, Node other not None, bint unwrap):
        self.target = target
        self.other = other
        self.unwrap = unwrap

    cdef object eval(self, Frame frame):
        value = self.target.eval(frame)
        if type(value) is not Optional:
            return value
        if (<Optional>value).present:
            return (<Optional>value).value if self.unwrap else value
        return self.other.eval(frame)
