# Part of _fieldset.pyx: the entries of managed fields (decode, encode); needs sets only.

cdef str APPLY = "Apply"
cdef str UPDATE = "Update"


cdef class ManagedFieldsEntry:
    """A ManagedFieldsEntry; `time` is RFC 3339 text or "", `fields` is a field set. It is never changed.

    Entries are ordered as upstream writes them: those of Apply before those of Update, older ones first.
    """
    cdef readonly str manager
    cdef readonly str operation
    cdef readonly str api_version
    cdef readonly str subresource
    cdef readonly str time
    cdef readonly dict fields
    cdef readonly tuple key
    """Identifies the entry.

    Applying in another version updates the same entry; other writes make one for each version.
    """

    def __init__(
        self, str manager, str operation, str api_version, str subresource="", str time="", dict fields=None
    ):
        self.fill(manager, operation, api_version, subresource, time, {} if fields is None else fields)

    cdef fill(self, str manager, str operation, str api_version, str subresource, str time, dict fields):
        self.manager, self.operation, self.api_version = manager, operation, api_version
        self.subresource, self.time, self.fields = subresource, time, fields
        self.key = manager, operation, "" if operation == APPLY else api_version, subresource

    @property
    def identity(self):
        """The key as the text that sorts conflicts (BuildManagerIdentifier)."""
        names = ("manager", "operation", "apiVersion", "subresource")
        return _dumps({name: text for name, text in zip(names, self.key) if text}, separators=(",", ":"))

    cpdef replaced(self, dict fields, str time=None, str api_version=None):
        """The same entry with other fields, and maybe with other values."""
        return new_entry(
            self.manager,
            self.operation,
            self.api_version if api_version is None else api_version,
            self.subresource,
            self.time if time is None else time,
            fields,
        )

    def __lt__(self, ManagedFieldsEntry other):
        return (
            PyUnicode_Compare(self.operation, other.operation)
            or PyUnicode_Compare(self.time, other.time)
            or PyUnicode_Compare(self.manager, other.manager)
            or PyUnicode_Compare(self.api_version, other.api_version)
            or PyUnicode_Compare(self.subresource, other.subresource)
        ) < 0

    cpdef dict encode(self):
        cdef dict out = {}
        if self.manager:
            out["manager"] = self.manager
        out["operation"] = self.operation
        out["apiVersion"] = self.api_version
        if self.time:
            out["time"] = self.time
        out["fieldsType"] = "FieldsV1"
        out["fieldsV1"] = self.fields
        if self.subresource:
            out["subresource"] = self.subresource
        return out


cdef ManagedFieldsEntry new_entry(
    str manager, str operation, str api_version, str subresource, str time, dict fields
):
    cdef ManagedFieldsEntry out = ManagedFieldsEntry.__new__(ManagedFieldsEntry)
    out.fill(manager, operation, api_version, subresource, time, fields)
    return out


def decode(encoded, stored=None):
    """Decode managedFields to entries by their keys; raises FieldError for an invalid one.

    `stored` are the managedFields of the live object. A set that is one of those is not read: it is as
    canonical as its writer made it, and if that was somebody else, it stays as it is where no write meets it.
    """
    cdef dict out = {}
    cdef ManagedFieldsEntry entry
    cdef Py_ssize_t i
    if encoded is None:
        return out
    if not isinstance(encoded, list):
        raise FieldError("expected a list of managed fields")
    for i, one in enumerate(<list>encoded):
        if not isinstance(one, dict):
            raise FieldError(f"expected an object in managed fields entry {i}")
        operation = (<dict>one).get("operation")
        if operation != APPLY and operation != UPDATE:
            raise FieldError("operation must be `Apply` or `Update`")
        api_version = text_in(<dict>one, "apiVersion")
        if not api_version:
            raise FieldError("apiVersion must not be empty")
        fields_type = text_in(<dict>one, "fieldsType")
        if not fields_type:
            raise FieldError(f"missing fieldsType in managed fields entry {i}")
        if fields_type != "FieldsV1":
            raise FieldError(f"invalid fieldsType {quote(fields_type)} in managed fields entry {i}")
        fields = (<dict>one).get("fieldsV1")
        entry = new_entry(
            text_in(<dict>one, "manager"),
            operation,
            api_version,
            text_in(<dict>one, "subresource"),
            text_in(<dict>one, "time"),
            fields if type(fields) is dict and fields is set_of(stored, i) else parse(fields),
        )
        out[entry.key] = entry
    return out


cdef object set_of(object encoded, Py_ssize_t i):
    """The set of an entry of managedFields, as it is written; None if there is none."""
    if not isinstance(encoded, list) or i >= len(<list>encoded):
        return None
    entry = (<list>encoded)[i]
    return (<dict>entry).get("fieldsV1") if isinstance(entry, dict) else None


cdef str text_in(dict entry, str name):
    value = entry.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FieldError(f"{name} must be a string in managed fields")
    return value


def encode(dict entries):
    """Encode entries as managedFields."""
    cdef list listed = list(entries.values())
    if len(listed) > 1:
        listed.sort()
    return [(<ManagedFieldsEntry>entry).encode() for entry in listed]
