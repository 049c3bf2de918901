"""The language of expressions could be a package of its own: it has one face, and takes from the program
around it what one module takes. Compiled modules, which import-linter does not see, are counted."""

from quality.test_cycles import imports

LANGUAGE = "pilothouse.api.cel"
EVALUATOR = "pilothouse.api.cel._cel"
HOST = f"{LANGUAGE}.host"


def inside(module: str) -> bool:
    return module == EVALUATOR or f"{module}.".startswith(f"{LANGUAGE}.")


def test_others_import_the_face_only() -> None:
    found = {
        f"{module} imports {other}"
        for module, imported in imports().items()
        for other in imported
        if not inside(module) and inside(other) and other != LANGUAGE
    }
    assert found == set()


def test_one_module_takes_what_the_language_needs() -> None:
    outward = {
        module
        for module, imported in imports().items()
        if inside(module) and any(not inside(other) for other in imported)
    }
    assert outward == {HOST}
