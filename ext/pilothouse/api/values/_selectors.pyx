"""Matches label and field selectors against an object's labels and field values."""

from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject

cdef enum:
    EXISTS
    NOT_EXISTS
    EQUAL
    NOT_EQUAL
    IN
    NOT_IN
    GREATER
    LESS

cdef dict CODES = {
    "exists": EXISTS,
    "!": NOT_EXISTS,
    "=": EQUAL,
    "==": EQUAL,
    "!=": NOT_EQUAL,
    "in": IN,
    "notin": NOT_IN,
    "gt": GREATER,
    "lt": LESS,
}
cdef dict NO_LABELS = {}


cdef bint parse_int(str text, long long* out) except -1:
    """Parse a decimal int64 as Go's strconv.ParseInt does; returns false if it is invalid."""
    cdef str digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits or not digits.isascii() or not digits.isdigit():
        return False
    if len(digits.lstrip("0")) > 19:
        return False
    number = int(digits.lstrip("0") or "0")
    if text[0] == "-":
        number = -number
    if not -(1 << 63) <= number < 1 << 63:
        return False
    out[0] = number
    return True


cdef class Requirement:
    """One term of a label selector: `op` is exists, !, =, ==, !=, in, notin, gt or lt."""

    def __init__(self, str key not None, str op not None, tuple values not None=()):
        self.key = key
        self.op = op
        self.values = values
        self.among = frozenset(values) if len(values) > 8 else values
        self.code = CODES[op]
        self.single = values[0] if len(values) == 1 else None
        if self.code == IN and self.single is not None:
            self.code = EQUAL
        elif self.code == NOT_IN and self.single is not None:
            self.code = NOT_EQUAL
        elif self.code == GREATER or self.code == LESS:
            if not parse_int(values[0], &self.number):
                raise ValueError(values[0])

    cdef bint holds(self, dict labels) except -1:
        cdef PyObject* found = PyDict_GetItem(labels, self.key)
        cdef int code = self.code
        cdef long long number = 0
        if found == NULL:
            return code == NOT_EXISTS or code == NOT_EQUAL or code == NOT_IN
        if code == EQUAL:
            return <object>found == self.single
        if code == NOT_EQUAL:
            return <object>found != self.single
        if code == EXISTS:
            return True
        if code == NOT_EXISTS:
            return False
        if code == IN:
            return <object>found in self.among
        if code == NOT_IN:
            return <object>found not in self.among
        if not isinstance(<object>found, str) or not parse_int(<str>found, &number):
            return False
        return number > self.number if code == GREATER else number < self.number

    def __eq__(self, other):
        if not isinstance(other, Requirement):
            return NotImplemented
        cdef Requirement that = other
        return self.key == that.key and self.op == that.op and self.values == that.values

    def __hash__(self):
        return hash((self.key, self.op, self.values))

    def __str__(self):
        if self.op == "exists":
            return self.key
        if self.op == "!":
            return "!" + self.key
        text = ",".join(sorted(self.values))
        if self.op in ("in", "notin"):
            return f"{self.key} {self.op} ({text})"
        sign = {"gt": ">", "lt": "<"}.get(self.op, self.op)
        return f"{self.key}{sign}{text}"

    def __repr__(self):
        return f"Requirement({str(self)!r})"


cdef class Selector:
    """The selector of a list or watch: label terms in key order and field terms `(field, "=" or
    "!=", value)`.

    `equalities` are the label terms that an index can answer, `field_equalities` the field terms. With
    `nothing` it matches no object (a LabelSelector that is null).
    """

    def __init__(self, labels=(), fields=(), bint nothing=False):
        self.labels = tuple(labels)
        self.fields = tuple(fields)
        self.nothing = nothing
        self.empty = not nothing and not self.labels and not self.fields
        cdef Requirement term
        equal = []
        for term in self.labels:
            if term.code == EQUAL:
                equal.append((term.key, term.single))
        self.equalities = tuple(equal)
        self.field_equalities = {name: value for name, op, value in self.fields if op == "="}

    cpdef bint matches_labels(self, dict labels) except -1:
        """Whether an object's labels (None = none) match."""
        cdef Requirement term
        if self.nothing:
            return False
        if labels is None:
            labels = NO_LABELS
        for term in self.labels:
            if not term.holds(labels):
                return False
        return True

    cpdef bint matches_fields(self, dict fields) except -1:
        """Whether an object's selectable fields match; an absent one counts as ""."""
        cdef PyObject* found
        cdef tuple term
        if self.nothing:
            return False
        for term in self.fields:
            found = PyDict_GetItem(fields, <object>term[0])
            value = "" if found == NULL else <object>found
            if (value == term[2]) != (term[1] == "="):
                return False
        return True

    @property
    def label_text(self):
        """The label terms in canonical form."""
        return ",".join([str(term) for term in self.labels])

    @property
    def field_text(self):
        """The field terms in canonical form: `\\`, `,` and `=` in values are escaped."""
        return ",".join([f"{name}{op}{_escape(value)}" for name, op, value in self.fields])

    def __eq__(self, other):
        if not isinstance(other, Selector):
            return NotImplemented
        cdef Selector that = other
        return (self.labels, self.fields, self.nothing) == (that.labels, that.fields, that.nothing)

    def __hash__(self):
        return hash((self.labels, self.fields, self.nothing))

    def __repr__(self):
        return f"Selector(labels={self.label_text!r}, fields={self.field_text!r})"


def _escape(str value):
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
