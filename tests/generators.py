"""Imports the programs of tools/ as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent


def load(name: str) -> ModuleType:
    """The module of `tools/NAME.py`; nothing of it has run."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run(module: ModuleType, *arguments: str) -> None:
    """Call the program's `main` as the command line does."""
    before = sys.argv
    sys.argv = [module.__name__, *arguments]
    try:
        module.main()
    finally:
        sys.argv = before
