"""The libraries that environments may have, and those that every environment of Kubernetes has."""

from pilothouse.api.cel import macros
from pilothouse.api.cel.function_library import Library, joined
from pilothouse.api.cel.libraries import (
    authorizer,
    conversions,
    formats,
    jsonpatch,
    list_extension,
    lists,
    network,
    operators,
    optionals,
    quantities,
    regex,
    semvers,
    sets,
    strings,
    times,
    urls,
)

STANDARD = joined(
    (
        Library(operators.FUNCTIONS, macros.STANDARD),
        Library(conversions.FUNCTIONS, type_names=conversions.TYPE_NAMES),
        Library(times.FUNCTIONS),
    )
)
OPTIONALS = Library(optionals.FUNCTIONS, macros.OPTIONALS, optionals.TYPE_NAMES)
TWO_VARIABLES = Library(optionals.MAP_INSERT, macros.TWO_VARIABLES)
LIST_EXTENSION = Library(list_extension.FUNCTIONS, macros.SORTING)
BINDINGS = Library(macros=macros.BINDINGS)
"""`cel.bind`, which only the environment of device selectors has."""
JSON_PATCH = Library(jsonpatch.FUNCTIONS)
"""The library of JSON patches; only the environment of mutating policies has it."""
_LIBRARIES = (
    STANDARD,
    Library(urls.FUNCTIONS),
    Library(regex.FUNCTIONS),
    Library(lists.FUNCTIONS),
    Library(authorizer.FUNCTIONS),
    OPTIONALS,
    Library(quantities.FUNCTIONS),
    Library(strings.FUNCTIONS),
    Library(sets.FUNCTIONS),
    Library(network.FUNCTIONS, type_names=network.TYPE_NAMES),
    Library(formats.FUNCTIONS),
    TWO_VARIABLES,
    Library(semvers.FUNCTIONS),
    LIST_EXTENSION,
)
KUBERNETES = joined(_LIBRARIES)
"""The libraries of every environment of Kubernetes 1.36: new and stored expressions
know the same libraries by then, because its compatibility version is 1.35 and the
last library came with 1.34 (apiserver pkg/cel/environment/base.go)."""
