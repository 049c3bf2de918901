"""Request info: what a request is about. The Python face of _requestinfo."""

from pilothouse._requestinfo import parse, parse_query, unescape_path, wants_watch

__all__ = ["parse", "parse_query", "unescape_path", "wants_watch"]
