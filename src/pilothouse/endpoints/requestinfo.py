"""Request info: verb, group, version, resource and name of a request. Re-exports the compiled _requestinfo."""

from pilothouse._requestinfo import parse, parse_query, unescape_path, wants_watch

__all__ = ["parse", "parse_query", "unescape_path", "wants_watch"]
