# Part of _reader.pyx: times as objects have them, out of seconds since 1970. The years 1 to 9999 are
# formatted here, others by api/values/times.py.

DEF EPOCH = 719162         # days from the start of the year 1 to that of 1970
DEF DAY = 86400            # seconds
DEF FIRST = -62135596800   # the first second of the year 1
DEF LAST = 253402300799    # the last one of the year 9999


cdef inline int64_t days_before(int64_t year) noexcept nogil:
    """Days from the start of the year 1."""
    cdef int64_t past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400


cdef inline int days_in(int month, int64_t year) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef str time_text(int64_t seconds, uint64_t micro, bint with_micro):
    """A time in UTC, with whole seconds or with six decimals."""
    cdef char out[64]
    cdef int64_t days, year
    cdef int rest, month = 1, size
    if not FIRST <= seconds <= LAST:
        return times.from_unix(seconds) + (f".{micro:06d}Z" if with_micro else "Z")
    days = (seconds - FIRST) // DAY
    rest = <int>((seconds - FIRST) % DAY)
    year = days * 400 // 146097 + 1
    while days_before(year + 1) <= days:
        year += 1
    while days_before(year) > days:
        year -= 1
    days -= days_before(year)
    while days >= days_in(month, year):
        days -= days_in(month, year)
        month += 1
    size = snprintf(
        out, sizeof(out), b"%04d-%02d-%02dT%02d:%02d:%02d", <int>year, month, <int>days + 1, rest // 3600,
        rest // 60 % 60, rest % 60,
    )
    if with_micro:
        size += snprintf(out + size, sizeof(out) - size, b".%06llu", <unsigned long long>micro)
    out[size] = c'Z'
    return PyUnicode_DecodeASCII(out, size + 1, NULL)
