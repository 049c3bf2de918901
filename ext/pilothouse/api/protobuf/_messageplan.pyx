"""How the messages of types are read and written: the plan of a type, made on first use.

Field numbers come from schemas/, wire types from the members' kinds. A member that is not a pointer in Go is
written even if it is absent, as gogo's generated code does.
"""

from pilothouse.api.types import schema
from pilothouse.wire import field, varint

cdef dict KINDS = {
    "string": TEXT, "duration": TEXT, "int32": INTEGER, "int64": INTEGER, "bool": BOOLEAN, "number": DOUBLE,
    "bytes": BYTES, "struct": STRUCT, "list": ITEMS, "map": NO_MESSAGE, "time": TIME, "microtime": MICROTIME,
    "quantity": QUANTITY, "intorstring": INT_OR_STRING,
}
cdef tuple MESSAGES = ("ExtraValue", "Verbs")  # Go names of list types that are messages of their own
cdef bytes ZERO = b"\x08\x00\x10\x00\x1a\x00"  # the number 0 as an IntOrString

cdef dict plans = {}       # type -> its plan
cdef dict numbers = {}     # name of a type -> JSON names of its members -> paths of field numbers


cdef Message plan_of(object type):
    """The plan of a struct type."""
    cdef Message message = plans.get(type)
    if message is None:
        message = plans[type] = Message()
        message.type = type
    return message


cdef dict table_of(object type):
    """Field number -> member, or the table of an embedded message."""
    cdef dict out = {}, level
    if not numbers:
        numbers.update(schema.load("numbers"))
    for name, path in numbers.get(type.name, {}).items():
        found = type.fields.get(name)
        if found is not None:
            level = out
            *above, last = path
            for number in above:
                level = level.setdefault(number, {})
            level[last] = found
    return out


cdef class Message:
    """The plan of a message. It is built on first use, because types may be recursive."""

    cdef int build(self) except -1:
        cdef dict table = self.table if self.table is not None else table_of(self.type)
        cdef list members = [member_of(number, table[number]) for number in sorted(table)]
        cdef list numbered = [None] * (max(table, default=0) + 1)
        cdef Member member
        for member in members:
            numbered[member.number] = member
        self.numbered, self.members = numbered, members
        return 0


cdef bytes zero(Message message):
    """The message of an object without members."""
    cdef Member member
    if message.members is None:
        message.build()
    return b"".join([member.absent for member in message.members])


cdef Member member_of(uint64_t number, object found):
    """The plan of a member, or of an embedded message, whose table is given."""
    cdef Member member = Member()
    member.number = number
    member.absent = b""
    if isinstance(found, dict):
        member.shape, member.value = EMBEDDED, Value()
        member.value.kind, member.value.message = STRUCT, Message()
        member.value.message.table = found
        member.absent = field(number, zero(member.value.message))
        return member
    type = found.type
    member.name = found.name
    if type.kind == "map":
        member.shape, member.value = MAP, value_of(type.items)
    elif type.kind == "list" and type.go.rpartition(".")[2] not in MESSAGES:
        member.shape, member.value = REPEATED, value_of(type.items)
    else:
        member.shape, member.value = ONE, value_of(type)
        if not found.pointer:
            member.absent = absent(number, member.value)
    return member


cdef Value value_of(object type):
    cdef Value value = Value()
    if type.kind == "schemaor":
        if type.go.endswith("OrBool"):
            value.kind = SCHEMA_OR_BOOL
        else:
            value.kind = SCHEMA_OR_SCHEMAS if type.go.endswith("OrArray") else SCHEMA_OR_TEXTS
        value.message = plan_of(type.items)
        return value
    value.kind = KINDS.get(type.kind, RAW if type.go == "runtime.RawExtension" else JSON)
    if value.kind == STRUCT:
        value.message = plan_of(type)
    elif value.kind == ITEMS:
        value.items = value_of(type.items)
    return value


cdef bytes absent(uint64_t number, Value value):
    """The bytes of a member that Go has no pointer to, if it is absent."""
    cdef Kind kind = value.kind
    if kind == BYTES or kind == ITEMS:
        return b""
    if kind == INTEGER or kind == BOOLEAN:
        return varint(number << 3) + b"\0"
    if kind == DOUBLE:
        return varint(number << 3 | 1) + bytes(8)
    if kind == STRUCT:
        return field(number, zero(value.message))
    return field(number, ZERO if kind == INT_OR_STRING else b"")
