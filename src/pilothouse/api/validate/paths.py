"""Validates file paths in volumes and mounts (apis/core/validation)."""

from pilothouse.api.values.fields import Errors


def has_backsteps(path_text: str) -> bool:
    """Whether a path contains the component `..`."""
    return "/../" in f"/{path_text}/"


def validate_no_backsteps(path_text: str, path: str, errs: Errors) -> None:
    if has_backsteps(path_text):
        errs.invalid(path, path_text, "must not contain '..'")


def validate_descending(path_text: str, path: str, errs: Errors) -> None:
    """The path must be relative and must not contain `..`."""
    if path_text.startswith("/"):
        errs.invalid(path, path_text, "must be a relative path")
    validate_no_backsteps(path_text, path, errs)


def validate_local_path(path_text: str, path: str, errs: Errors) -> None:
    """Like validate_descending; nor may the first part begin with `..` (ValidateLocalNonReservedPath)."""
    validate_descending(path_text, path, errs)
    if path_text.startswith("..") and not path_text.startswith("../"):
        errs.invalid(path, path_text, "must not start with '..'")
