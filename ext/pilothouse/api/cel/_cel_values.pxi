# The values that JSON does not have. Included by _cel.pyx.

INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1
UINT_MAX = (1 << 64) - 1
TIME_MIN = -62135596800 * 10**9  # 0001-01-01T00:00:00Z, in nanoseconds
TIME_MAX = 253402300799 * 10**9 + 999999999  # 9999-12-31T23:59:59.999999999Z


class UInt(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


cdef class Timestamp:
    """A point in time, in nanoseconds since 1970; `offset` is the time zone it was written in, in seconds."""

    cdef readonly object ns
    cdef readonly int offset

    def __init__(self, ns, int offset=0):
        self.ns = ns
        self.offset = offset

    def __eq__(self, other):
        return isinstance(other, Timestamp) and self.ns == (<Timestamp>other).ns

    def __hash__(self):
        return hash(self.ns)

    def __repr__(self):
        return f"Timestamp({self.ns})"


cdef class Duration:
    """A length of time in nanoseconds."""

    cdef readonly object ns

    def __init__(self, ns):
        self.ns = ns

    def __eq__(self, other):
        return isinstance(other, Duration) and self.ns == (<Duration>other).ns

    def __hash__(self):
        return hash((Duration, self.ns))

    def __repr__(self):
        return f"Duration({self.ns})"


cdef class Optional:
    """A value that may be absent."""

    cdef readonly bint present
    cdef readonly object value

    def __init__(self, value):
        self.present = True
        self.value = value

    def __repr__(self):
        return f"optional({self.value!r})" if self.present else "optional.none()"


cdef Optional _none = Optional.__new__(Optional)
NONE = _none


cdef class TypeValue:
    """A type as a value: what `type(x)` gives."""

    cdef readonly str name

    def __init__(self, str name not None):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, TypeValue) and self.name == (<TypeValue>other).name

    def __hash__(self):
        return hash(self.name)

    def __repr__(self):
        return f"TypeValue({self.name!r})"


class Opaque:
    """Base of the values of libraries (quantities, addresses, versions ...):
    `type_name` is what CEL calls their type.

    `cost_size` is what the cost model takes for the size of a value.
    """

    type_name = ""
    cost_size = 1
    __slots__ = ()


class Struct:
    """An object that an expression has built by naming its type: `Object.spec{...}`."""

    __slots__ = ("fields", "type_name")

    def __init__(self, type_name, fields):
        self.type_name = type_name
        self.fields = fields

    def __eq__(self, other):
        if not isinstance(other, Struct) or self.type_name != other.type_name:
            return False
        return equal(self.fields, other.fields)

    def __hash__(self):
        return hash(self.type_name)


class Lookup:
    """An object whose fields are computed when they are read:
    a subclass gives `find(name)`, KeyError for none."""

    def find(self, name):
        raise KeyError(name)


cdef enum Kind:
    K_NULL
    K_BOOL
    K_INT
    K_UINT
    K_DOUBLE
    K_STRING
    K_BYTES
    K_LIST
    K_MAP
    K_TIMESTAMP
    K_DURATION
    K_OPTIONAL
    K_TYPE
    K_OTHER

cdef tuple KIND_NAMES = (
    "null_type", "bool", "int", "uint", "double", "string", "bytes", "list", "map",
    "google.protobuf.Timestamp", "google.protobuf.Duration", "optional_type", "type",
)


cdef int kind_of(object value):
    kind = type(value)
    if kind is str:
        return K_STRING
    if kind is int:
        return K_INT
    if kind is bool:
        return K_BOOL
    if kind is dict:
        return K_MAP
    if kind is list:
        return K_LIST
    if value is None:
        return K_NULL
    if kind is float:
        return K_DOUBLE
    if kind is UInt:
        return K_UINT
    if kind is bytes:
        return K_BYTES
    if isinstance(value, ListView):
        return K_LIST
    if isinstance(value, MapView):
        return K_MAP
    if kind is Timestamp:
        return K_TIMESTAMP
    if kind is Duration:
        return K_DURATION
    if kind is Optional:
        return K_OPTIONAL
    if kind is TypeValue:
        return K_TYPE
    return K_OTHER


def type_name(value):
    """The name that CEL gives the type of a value."""
    cdef int kind = kind_of(value)
    if kind != K_OTHER:
        return KIND_NAMES[kind]
    return getattr(value, "type_name", "map")


cdef cost_t cost_size(object value):
    """The size of a value in the cost model: 1 for all that has none."""
    kind = type(value)
    if kind is str:
        return len(<str>value)
    if kind is list:
        return len(<list>value)
    if kind is dict:
        return len(<dict>value)
    if kind is bytes:
        return len(<bytes>value)
    if isinstance(value, ListView) or isinstance(value, MapView):
        return len(value)
    if kind is Optional and (<Optional>value).present:
        return cost_size((<Optional>value).value)
    if isinstance(value, Opaque):
        return value.cost_size
    return 1


def size_of(value):
    """The size of a value in the cost model: 1 for all that has none."""
    return cost_size(value)


cdef object write_double = None
cdef object write_go_type = None


def register_writers(number, go_type):
    """The functions that write a double, and the type of JSON data, as Go does in messages."""
    global write_double, write_go_type
    write_double, write_go_type = number, go_type


def show(value):
    """A value inside an error message, as Go's %v prints it."""
    cdef int kind = kind_of(value)
    if kind == K_BOOL:
        return "true" if value else "false"
    if kind == K_NULL:
        return "NULL_VALUE"
    if kind == K_TYPE:
        return value.name
    if kind == K_DOUBLE:
        return write_double(value)
    return str(value)
