"""The Go declarations that were read match the OpenAPI documents of the same types, since the Go modules
themselves are not available here."""

import json
from pathlib import Path

import pytest
from generators import load, run

REGISTER = """package v1
const GroupName = "shop.example.com"
"""

TYPES = """package v1

import (
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Cart is bought at once.
type Cart struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	Owner core.ObjectReference `json:"owner"`
	// Items may be none.
	Items map[string][]Item `json:"items,omitempty"`
	hidden string `json:"-"`
	Common `json:",inline"`
}

type Item struct {
	Image []byte `json:"image"`
	Count *int32 `json:"count,omitempty"`
	When metav1.Time `json:"when,omitzero"`
}

type Common struct {
	Price string `json:"price"`
}
"""


def test_structs_are_read_from_go(tmp_path: Path) -> None:
    package = tmp_path / "k8s.io/api/shop/v1"
    package.mkdir(parents=True)
    (package / "register.go").write_text(REGISTER)
    (package / "types.go").write_text(TYPES)
    (package / "zz_generated.deepcopy.go").write_text("type Wrong struct {\n}\n")
    generator = load("gen_go_types")
    run(generator, str(tmp_path), "--out", str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "groups": {"io.k8s.api.shop.v1": "shop.example.com"},
        "structs": {
            "io.k8s.api.shop.v1.Cart": [
                ["kind", "string", "o", "TypeMeta"],
                ["apiVersion", "string", "o", "TypeMeta"],
                ["metadata", "v1.ObjectMeta", "o", ""],
                ["owner", "v1.ObjectReference", "", ""],
                ["items", "map[string][]v1.Item", "o", ""],
                ["price", "string", "", "Common"],
            ],
            "io.k8s.api.shop.v1.Common": [["price", "string", "", ""]],
            "io.k8s.api.shop.v1.Item": [
                ["image", "[]uint8", "", ""],
                ["count", "int32", "po", ""],
                ["when", "v1.Time", "z", ""],
            ],
        },
    }


def test_the_data_is_written_by_this_program() -> None:
    generator = load("gen_go_types")
    committed = generator.OUT.read_text()
    data = json.loads(committed)
    assert generator.text(data["groups"], data["structs"]) == committed


def test_members_are_those_of_the_release() -> None:
    pytest.importorskip("kubernetes_validate")
    structs = json.loads(load("gen_go_types").OUT.read_text())["structs"]
    definitions = load("gen_schemas").source()
    of_both = [name for name in definitions if name in structs and definitions[name].get("properties")]
    differ = {
        name for name in of_both if {row[0] for row in structs[name]} != set(definitions[name]["properties"])
    }
    assert len(of_both) > 500
    assert differ == set()
