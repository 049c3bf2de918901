# Part of _writer.pyx: seconds since 1970 out of times as objects have them. Other forms that Go writes are
# left to api/values/times.py.

DEF EPOCH = 719162         # days from the start of the year 1 to that of 1970
DEF SECONDS = 20           # characters of a time with whole seconds
DEF MICROSECONDS = 27      # and of one with six decimals

cdef int* BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365]  # days before a month


cdef inline int digits(const char* s, int count) noexcept nogil:
    """The number that some digits are; -1 if one of them is none."""
    cdef int i, out = 0
    for i in range(count):
        if not c'0' <= s[i] <= c'9':
            return -1
        out = out * 10 + s[i] - c'0'
    return out


cdef bint plain_time(const char* s, Py_ssize_t size, int64_t* seconds, int64_t* micro) noexcept nogil:
    """Whether a text is a time in UTC, with whole seconds or six decimals, of the years 1 to 9999."""
    cdef int year, month, day, hour, minute, second, days
    cdef bint leap
    if size != SECONDS and not (size == MICROSECONDS and s[19] == c'.'):
        return False
    if not (s[4] == c'-' == s[7] and s[10] == c'T' and s[13] == c':' == s[16] and s[size - 1] == c'Z'):
        return False
    year, month, day = digits(s, 4), digits(s + 5, 2), digits(s + 8, 2)
    hour, minute, second = digits(s + 11, 2), digits(s + 14, 2), digits(s + 17, 2)
    micro[0] = digits(s + 20, 6) if size == MICROSECONDS else 0
    if year < 1 or not 1 <= month <= 12 or day < 1 or micro[0] < 0:
        return False
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > BEFORE[month] - BEFORE[month - 1] + (month == 2 and leap):
        return False
    year -= 1
    days = year * 365 + year // 4 - year // 100 + year // 400 - EPOCH
    days += BEFORE[month - 1] + (month > 2 and leap) + day - 1
    seconds[0] = <int64_t>days * 86400 + hour * 3600 + minute * 60 + second
    return True
