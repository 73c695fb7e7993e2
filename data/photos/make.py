"""Make the photographs of this folder from two packages that carry them.

    pip install scikit-image==0.26.0 scikit-learn==1.9.1 pillow
    python data/photos/make.py

Each source is checked against its SHA-256 first. The two JPEGs are copied as they are;
the three PNGs are saved as JPEGs of quality 92. photos.json records where each comes from.
"""

import hashlib
import io
import json
from importlib.resources import files
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
SOURCES = {
    "astronaut": {
        "package": "scikit-image==0.26.0",
        "path": ("skimage.data", "astronaut.png"),
        "sha256": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "author": "NASA",
        "title": "Eileen Collins, astronaut",
        "licence": "public domain",
        "origin": "https://flic.kr/p/r9qvLn",
    },
    "cat": {
        "package": "scikit-image==0.26.0",
        "path": ("skimage.data", "chelsea.png"),
        "sha256": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "author": "Stéfan van der Walt",
        "title": "Chelsea the cat",
        "licence": "CC0-1.0",
        "origin": "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.chelsea",
    },
    "coffee": {
        "package": "scikit-image==0.26.0",
        "path": ("skimage.data", "coffee.png"),
        "sha256": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "author": "Rachel Michetti",
        "title": "A cup of coffee, courtesy of Pikolo Espresso Bar",
        "licence": "CC0-1.0",
        "origin": "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.coffee",
    },
    "china": {
        "package": "scikit-learn==1.9.1",
        "path": ("sklearn.datasets.images", "china.jpg"),
        "sha256": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "author": "danielbuechele",
        "title": "Chinese temple",
        "licence": "CC-BY-2.0",
        "origin": "https://www.flickr.com/photos/danielbuechele/6061409035/",
    },
    "flower": {
        "package": "scikit-learn==1.9.1",
        "path": ("sklearn.datasets.images", "flower.jpg"),
        "sha256": "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
        "author": "vultilion (scikit-learn's note names danielbuechele, and links to vultilion's page)",
        "title": "Dahlia",
        "licence": "CC-BY-2.0",
        "origin": "https://www.flickr.com/photos/vultilion/6056698931/",
    },
}


def sha256(data: bytes) -> str:
    """Hex digest of the bytes."""
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    """Write the photographs and photos.json beside this script."""
    manifest = {}
    for name, source in SOURCES.items():
        package, file = source["path"]
        data = (files(package) / file).read_bytes()
        if sha256(data) != source["sha256"]:
            raise SystemExit(f"{file} has SHA-256 {sha256(data)}, not {source['sha256']}; install {source['package']}")
        if not file.endswith(".jpg"):
            buffer = io.BytesIO()
            Image.open(io.BytesIO(data)).convert("RGB").save(buffer, "JPEG", quality=92)
            data = buffer.getvalue()
        (HERE / f"{name}.jpg").write_bytes(data)
        width, height = Image.open(io.BytesIO(data)).size
        manifest[name] = {
            **{key: source[key] for key in ("title", "author", "licence", "origin")},
            "source": f"{file} of {source['package']}",
            "size": [height, width],
            "sha256": sha256(data),
        }
    (HERE / "photos.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
