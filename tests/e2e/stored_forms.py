"""The values that kube-apiservers have stored, with their answers to a GET of them:
tests/data/stored_forms.tar.xz.

The archive has a folder for each variant, which is one way to run a kube-apiserver. Below it, `stored/` has
the values by their keys in etcd, and `answers/` the JSON answers by their paths. tools/record_forms.py makes
it. The revision of a value is the resourceVersion of its answers.
"""

import io
import json
import pathlib
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

ARCHIVE = pathlib.Path(__file__).parents[1] / "data/stored_forms.tar.xz"

Object = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """A stored value, and the bytes of the answers by path:
    several where several versions show the same object."""

    key: str
    value: bytes
    answers: Mapping[str, bytes]

    @property
    def path(self) -> str:
        """The first of the paths."""
        return min(self.answers)

    @property
    def collection(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def object(self) -> Object:
        """The first of the answers, decoded."""
        out: Object = json.loads(self.answers[self.path])
        return out

    @cached_property
    def revision(self) -> int:
        return int(self.object["metadata"]["resourceVersion"])


@cache
def load(archive: pathlib.Path = ARCHIVE) -> dict[str, list[Form]]:
    """Variant -> what was stored, in the order in which it was."""
    values: dict[str, dict[str, bytes]] = {}
    answers: dict[str, dict[str, dict[str, bytes]]] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            variant, what, name = member.name.split("/", 2)
            if what == "stored":
                values.setdefault(variant, {})["/" + name] = file.read()
            else:
                key, _, path = name.partition("//")
                answers.setdefault(variant, {}).setdefault("/" + key, {})["/" + path] = file.read()
    forms = {
        variant: [Form(key, value, answers[variant][key]) for key, value in found.items()]
        for variant, found in values.items()
    }
    return {variant: sorted(found, key=lambda form: form.revision) for variant, found in forms.items()}


def save(forms: Mapping[str, Iterable[Form]], archive: pathlib.Path = ARCHIVE) -> None:
    """Write the archive; the same forms make the same bytes."""
    with tarfile.open(archive, "w:xz", preset=9, format=tarfile.GNU_FORMAT) as tar:
        for variant, found in sorted(forms.items()):
            for form in sorted(found, key=lambda form: form.key):
                _add(tar, f"{variant}/stored{form.key}", form.value)
                for path, answer in sorted(form.answers.items()):
                    _add(tar, f"{variant}/answers{form.key}/{path}", answer)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
