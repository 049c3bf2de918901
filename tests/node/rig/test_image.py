import hashlib
import io
import json
import pathlib
import tarfile

from node.rig import image


def test_an_archive_has_two_images_of_one_layer(tmp_path: pathlib.Path) -> None:
    busybox, target = tmp_path / "busybox", tmp_path / "images.tar"
    busybox.write_bytes(b"ELF")
    image.archive(target, busybox, ["sh", "busybox", "cat", "sh"])
    with tarfile.open(target) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    manifest = json.loads(files["manifest.json"])
    assert [one["RepoTags"] for one in manifest] == [[image.NAME], [image.PAUSE]]
    for one in manifest:
        config = files[one["Config"]]
        assert one["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
        (layer,) = one["Layers"]
        digest = f"sha256:{hashlib.sha256(files[layer]).hexdigest()}"
        assert json.loads(config)["rootfs"] == {"type": "layers", "diff_ids": [digest]}
    with tarfile.open(fileobj=io.BytesIO(files["layer.tar"])) as layer:
        assert layer.getmember("bin/busybox").mode == 0o755
        assert sorted(e.name for e in layer if e.issym()) == ["bin/cat", "bin/sh"]
        page = layer.extractfile("www/index.html")
        assert page is not None and page.read() == b"served by the rig\n"
    again = tmp_path / "again.tar"
    image.archive(again, busybox, ["cat", "sh"])
    with tarfile.open(again) as tar:
        assert tar.extractfile("layer.tar").read() == files["layer.tar"]  # type: ignore[union-attr]
