"""All that the language takes from the program around it: how Go reads and writes text, numbers and times,
names, quantities, formats of text, regular expressions, and how records are made."""

from pilothouse.api.structural.formats import FORMATS, request_uri
from pilothouse.api.structural.patterns import MOST_STEPS, compile_pattern
from pilothouse.api.values import names, quantity
from pilothouse.api.values.duration import go_duration
from pilothouse.api.values.times import LOCAL, fault
from pilothouse.gotext import double, literal, plain, quote
from pilothouse.gotext import type_name as go_type
from pilothouse.process.frozen import frozen

__all__ = [
    "FORMATS",
    "LOCAL",
    "MOST_STEPS",
    "compile_pattern",
    "double",
    "fault",
    "frozen",
    "go_duration",
    "go_type",
    "literal",
    "names",
    "plain",
    "quantity",
    "quote",
    "request_uri",
]
