"""Request info: verb, group, version, resource and name of a request. Re-exports the compiled _requestinfo."""

from pilothouse._requestinfo import NoRequestInfo, parse, parse_query, unescape_path, wants_watch

__all__ = ["NoRequestInfo", "parse", "parse_query", "unescape_path", "wants_watch"]
