# Part of _fieldset.pyx: who owns which fields after a write (Tracker); uses all other parts.


cdef dict STRIPPED = of(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)] + [("f:metadata", f"f:{name}") for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
        "managedFields", "resourceVersion",
    )]
)


cpdef dict strip(dict fields):
    """The set without fields that nobody can own: the object's identity and fields set by the server."""
    return subtract(fields, STRIPPED, False)


@_lru_cache(maxsize=256)
def _set_of(members):
    return of([tuple([f"f:{name}" for name in path]) for path in members])


cdef class Tracker:
    """Computes field ownership for one write.

    `reset` are paths that cannot be owned through this endpoint. `versions`: see managed.Versions; if None,
    all entries are assumed to be in the request's version.
    """
    cdef readonly object type
    cdef readonly str api_version
    cdef readonly str subresource
    cdef readonly str now
    cdef readonly object versions
    cdef dict reset

    def __init__(self, type, str api_version, str subresource, str now, tuple reset=(), versions=None):
        self.type, self.api_version, self.subresource, self.now = type, api_version, subresource, now
        self.versions = versions
        self.reset = _set_of(reset) if reset else None

    def update(self, dict entries, live, new, str manager):
        """Make `manager` the owner of all fields that differ in `new` (an Update).

        Returns whether there are any that can be owned.
        """
        cdef ManagedFieldsEntry own, entry
        cdef tuple changes
        self.reconcile(entries)
        changes = self.changes(self.type, live, new)
        own = new_entry(
            manager or "unknown", UPDATE, self.api_version, self.subresource, self.now, strip(changes[0])
        )
        previous = entries.get(own.key)
        known = {self.api_version: changes}
        for entry in list(entries.values()):
            if entry is previous:
                # It keeps what it has changed again, so that its set stays the same.
                self.take(entries, entry, common(changes[0], STRIPPED), changes[1])
            else:
                lost, gone = self.changes_in(entry.api_version, known, live, new)
                self.take(entries, entry, lost, gone)
        if not own.fields:
            return False
        if previous is not None and own.key in entries:
            entry = entries[own.key]
            own = own.replaced(union(entry.fields, own.fields))
        entries[own.key] = own
        return True

    def losses(self, dict entries, live, new, ManagedFieldsEntry writer, tuple changes):
        """For each entry except `writer`: (entry, its fields that the write changes, fields that it removes).

        `changes` are (changed, removed) in the request's version.
        """
        cdef ManagedFieldsEntry entry
        known = {self.api_version: changes}
        out = []
        for entry in entries.values():
            if entry is not writer:
                changed, removed = self.changes_in(entry.api_version, known, live, new)
                out.append((entry, common(entry.fields, changed), removed))
        return out

    cdef tuple changes_in(self, str api_version, dict known, live, new):
        """The changes in the version of an entry, which reconcile() has kept; adds it to those `known`."""
        found = known.get(api_version)
        if found is None:
            type, convert = self.version(api_version)
            before, after = convert([live, new])
            check_converted(type, before, "old")
            check_converted(type, after, "new")
            found = known[api_version] = self.changes(type, before, after)
        return found

    cpdef tuple changes(self, type, old, new):
        """The sets of what has changed and of what was removed, without the paths in `reset`."""
        added, modified, removed = compare(type, old, new)
        return self.filtered(union(modified, added)), self.filtered(removed)

    cpdef dict filtered(self, dict fields):
        """The set without the paths in `reset`."""
        return fields if self.reset is None else subtract(fields, self.reset, True)

    cpdef object version(self, str api_version):
        """The type of an entry's version and the conversion to it;
        None if the version is not served any more."""
        if api_version == self.api_version or self.versions is None:
            return self.type, as_they_are
        return self.versions(api_version)

    def back(self, obj):
        """An object of another version in the request's version."""
        own = self.versions(self.api_version) if self.versions is not None else None
        return own[1]([obj])[0] if own is not None else obj

    cpdef take(self, dict entries, ManagedFieldsEntry entry, dict lost, dict gone):
        """Remove fields from an entry that others have changed or that were removed;
        delete it once it is empty."""
        # Two differences instead of one with a union: these are the same sets for each of many entries.
        cdef dict left = subtract(subtract(entry.fields, lost, False), gone, False)
        if not left:
            del entries[entry.key]
        elif left is not entry.fields:
            entries[entry.key] = entry.replaced(left)

    cpdef reconcile(self, dict entries):
        """Drop entries of unknown versions, and make others own an atomic field as a whole if it was granular
        when they were written."""
        cdef ManagedFieldsEntry entry
        for entry in list(entries.values()):
            other = self.version(entry.api_version)
            if other is None:
                del entries[entry.key]
                continue
            fields = reconcile(other[0], entry.fields)
            if fields is not entry.fields:
                entries[entry.key] = entry.replaced(fields)


def as_they_are(objects):
    return objects


cdef check_converted(type, obj, str which):
    """Raise ConversionError if the converted object has members that its type does not know."""
    wrong = validate(type, obj, True)
    if wrong:
        raise ConversionError(f"failed to convert {which} object: {fault_text(wrong)}")
