cdef class Request:
    cdef public object method, target, path, query
    cdef public object headers, all_headers, body
    cdef public object peer, peer_certificates
    cdef public object caller, warnings, annotations, recognition
    cdef public object cluster, prefix
    cdef public bint keep_alive


cdef class Response:
    cdef public int status
    cdef public object body, content_type, headers, start, upgrade, on_done
