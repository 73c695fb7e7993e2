"""The mutants of ImageNet's data, as (file, tests, changes), each change (name, old, new)."""

IMAGENET = (
    (
        "gcvit_edu/data/imagenet.py",
        "test_imagenet.py",
        ("order-of-the-wnids", "if found != right:", "if False:"),
        ("names-that-are-no-wnids", "[name for name in classes if name not in set(known)]", "[]"),
        ("number-of-classes", "if len(classes) != expected:", "if False:"),
    ),
    (
        "gcvit_edu/data/encoded.py",
        "test_imagenet.py",
        ("bytes-that-are-gone", "if len(content) < size:", "if False:"),
        ("label-of-a-file", "int(self._labels[index])", "int(self._labels[0])"),
    ),
    (
        "gcvit_edu/data/archives.py",
        "test_imagenet.py",
        ("checksum-of-an-archive", "if found != expected:", "if False:"),
        ("names-that-lead-upwards", 'or ".." in path.parts', ""),
        ("links-in-an-archive", "if not member.isreg() or", "if"),
        ("archive-within-an-archive", "part.offset_data + member.offset_data", "member.offset_data"),
        ("order-of-the-validation", "key=lambda member: member.name", "key=lambda member: member.offset"),
    ),
    (
        "gcvit_edu/data/shards.py",
        "test_prepare.py",
        ("size-of-a-shard", '.st_size) != entry["bytes"]', ".st_size) == 0"),
        ("checksum-of-a-shard", 'found["sha256"]) != (entry["bytes"], entry["sha256"])', '0) != (entry["bytes"], 0)'),
        ("index-of-another-shard", 'if record["sha256"] != entry["sha256"]:', "if False:"),
    ),
    (
        "gcvit_edu/data/packing.py",
        "test_prepare.py",
        ("shards-there-already", "if not job.is_done(number)]", "]"),
        ("mixed-for-training", 'if settings.split == "train":', "if False:"),
        ("settings-of-before", "if before.get(key) != value\n", "if False\n"),
        ("smaller-pictures-stay", "or min(picture.size) <= short_side:", ":"),
    ),
    (
        "gcvit_edu/files.py",
        "test_train_checkpoint.py",
        ("write-in-place", "path.with_name(path.name + HALF)", "path"),
        ("left-half-written", "beside.unlink(missing_ok=True)", "pass"),
        ("sync-before-the-rename", "os.fsync(file.fileno())", "pass"),
    ),
    (
        "gcvit_edu/data/stream.py",
        "test_shard_stream.py",
        ("stretch-of-a-process", "rank * own, (rank + 1) * own", "0, own"),
        ("resume-of-a-stream", "len(range(worker, self.done, workers))", "0"),
        ("worker-of-the-next-batch", "(number + self.done) % workers", "number % workers"),
        ("picture-of-its-own-chance", "self.epoch, int(key))", "self.epoch, 0)"),
    ),
    (
        "gcvit_edu/data/stream.py",
        "test_imagenet_recipes.py",
        ("epoch-of-a-stream", "epoch = int(self._epoch)", "epoch = 0"),
    ),
    (
        "gcvit_edu/data/jpeg.py",
        "test_jpeg.py",
        ("decoded-smaller", "by * size <= min(", "by * size <= 2 * min("),
        ("place-in-a-smaller-picture", "tuple(side / by for side in box)", "tuple(side / by + 1 for side in box)"),
        ("area-of-the-part", "list(self.scale), list", "[0.3, 1.0], list"),
        ("mean-of-the-pixels", ".sub_(self.mean)", ""),
    ),
    (
        "gcvit_edu/train/bad_images.py",
        "test_imagenet_recipes.py",
        ("files-that-cannot-be-decoded", "            picture.decode()", "            pass"),
    ),
)
