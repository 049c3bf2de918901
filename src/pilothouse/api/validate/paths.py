"""Rules for file paths in volumes and mounts (apis/core/validation)."""

from pilothouse.api.fields import Errors


def has_backsteps(path_text: str) -> bool:
    """Whether one of the names of a path is `..`."""
    return "/../" in f"/{path_text}/"


def validate_no_backsteps(path_text: str, path: str, errs: Errors) -> None:
    if has_backsteps(path_text):
        errs.invalid(path, path_text, "must not contain '..'")


def validate_descending(path_text: str, path: str, errs: Errors) -> None:
    """A relative path that never goes up."""
    if path_text.startswith("/"):
        errs.invalid(path, path_text, "must be a relative path")
    validate_no_backsteps(path_text, path, errs)


def validate_local_path(path_text: str, path: str, errs: Errors) -> None:
    """A descending path whose first name does not start with two dots (ValidateLocalNonReservedPath)."""
    validate_descending(path_text, path, errs)
    if path_text.startswith("..") and not path_text.startswith("../"):
        errs.invalid(path, path_text, "must not start with '..'")
