"""Images that a table names, with a class or numbers to predict for each."""

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from lightning_template.engine.batches import check_targets_differ
from lightning_template.engine.files.data_files import (
    MAX_HASHED_BYTES,
    DataDigest,
    check_regular,
    digest_of_file,
    digest_of_folder,
)
from lightning_template.engine.files.image_files import ImageFiles, find_images
from lightning_template.engine.files.table_classes import class_indices, classes_of
from lightning_template.engine.files.table_file import TableFile
from lightning_template.engine.files.table_samples import check_columns

_logger = logging.getLogger(__name__)

_PARTS = {"train": "train", "training": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
"""Values of a column `split`."""


class ImageTable:
    """Images in a folder, and a table with a row for each.

    Args:
        root: Folder of the images, which may lie in its folders.
        table: The table; its path may be relative to `root`.
        targets: Names of the columns to predict; if None, the only column beside that of the files.
        files: Name of the column of the images' names, with or without folders and endings; if None, it is found.
        task: `classification` or `regression`.
        skip_missing: Whether rows whose image is not there are left out and counted; otherwise they are an error.
    """

    def __init__(
        self,
        root: Path,
        table: Path,
        targets: Sequence[str] | str | None,
        files: str | None,
        task: str,
        skip_missing: bool,
    ) -> None:
        self.root = root
        self.table = root / table if (root / table).exists() else table
        self.given_targets = [targets] if isinstance(targets, str) else targets
        self.given_files = files
        self.task = task
        self.skip_missing = skip_missing
        check_columns(self.given_targets or ["one"], None, (), task)

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:
        """Name of each class; None for regression."""
        return tuple(classes_of(self._file, self.targets[0])) if self.task == "classification" else None

    @property
    def num_targets(self) -> int:
        """Number of values to predict for each image; 0 for classification."""
        return len(self.targets) if self.task == "regression" else 0

    @cached_property
    def targets(self) -> list[str]:
        """Names of the columns to predict.

        Raises:
            ValueError: If the table has several others than that of the files, and none is named.
        """
        if self.given_targets is not None:
            return list(self.given_targets)
        others = [name for name in self._file.names if name not in (self._files_column, "split")]
        if len(others) > 1:
            others = [name for name in others if not self._file.is_index(name)]
        if len(others) != 1:
            raise ValueError(f"{self.table}: name the column to predict with `--data.targets`, one of {others}")
        return others

    def find(self, shape: tuple[int, int, int]) -> dict[str, tuple[ImageFiles, Tensor]]:
        """Find the images and targets of each part: `train` and, if a column `split` says so, `test` and `val`.

        Args:
            shape: Channels, height and width that images get.

        Raises:
            ValueError: If the table or the images are not as they should be.
        """
        file = self._file
        file.check_complete([self._files_column, *self.targets], "mend the table")
        paths = self._paths
        kept = np.array([path is not None for path in paths])
        parts = self._parts_of_rows()
        targets = torch.from_numpy(self._numbers())
        found = {}
        for part in dict.fromkeys(("train", *_PARTS.values())):
            rows = np.flatnonzero(kept & (parts == part))
            if len(rows):
                found[part] = ImageFiles([str(paths[row]) for row in rows], shape), targets[torch.from_numpy(rows)]
        if "train" not in found:
            raise ValueError(
                f"{self.table}: no row is of the training set; column 'split' has {sorted(set(parts.tolist()))}"
            )
        for name, column in zip(self.targets, found["train"][1][:, None].flatten(1).unbind(1), strict=True):
            check_targets_differ(f"{self.table}, column {name!r}", column)
        return found

    def digests(self) -> dict[str, DataDigest]:
        """Return the digests of the table and of the images that it names."""
        paths = sorted({path for path in self._paths if path is not None})
        size = sum(Path(path).stat().st_size for path in paths)
        images = digest_of_folder(self.root, paths, size <= MAX_HASHED_BYTES)
        return {"table": digest_of_file(self.table), "images": images}

    @cached_property
    def _file(self) -> TableFile:
        return TableFile(self.table)

    @cached_property
    def _images(self) -> "_Images":
        if not self.root.is_dir():
            raise ValueError(f"there is no folder `data_dir` {self.root}")
        return _Images(self.root)

    @cached_property
    def _files_column(self) -> str:
        """Name of the column that names images."""
        if self.given_files is not None:
            return self.given_files
        others = [name for name in self._file.names if name not in (self.given_targets or ())]
        numbers = {name: sum(map(bool, map(self._images.find, self._values(name)[:100]))) for name in others}
        best = max(numbers, key=lambda name: numbers[name], default="")
        if not numbers.get(best):
            raise ValueError(f"{self.table}: no column names images in {self.root}, such as {self._images.example!r}")
        return best

    def _values(self, name: str) -> list[str]:
        values: list[str] = self._texts.texts(name).fill_null("").to_pylist()
        return values

    @cached_property
    def _texts(self) -> TableFile:
        """The table with all columns as text, as the name of a file may begin with 0."""
        return TableFile(self.table, dict.fromkeys(self._file.names))

    @cached_property
    def _paths(self) -> list[str | None]:
        """Return the path of each row's image; None where there is none, if that is asked for."""
        values = self._values(self._files_column)
        found = [self._images.find(value) for value in values]
        missing = [value for value, paths in zip(values, found, strict=True) if not paths]
        if missing:
            what = f"{len(missing)} of {len(values)} rows name images that are not in {self.root}, such as "
            what = f"{self.table}: {what}" + ", ".join(map(repr, missing[:3]))
            if not self.skip_missing or len(missing) == len(values):
                raise ValueError(f"{what}; `--data.skip_damaged true` leaves them out")
            _logger.warning("%s: they are left out", what)
        several = next(((value, paths) for value, paths in zip(values, found, strict=True) if len(paths) > 1), None)
        if several:
            raise ValueError(f"{self.table}: {several[0]!r} may be {' or '.join(several[1][:2])}: name the folder too")
        paths = [paths[0] if paths else None for paths in found]
        used = [path for path in paths if path]
        if len(set(used)) < len(used):
            _logger.warning("%s: %d rows name an image again", self.table, len(used) - len(set(used)))
        if number := len(self._images.paths) - len(set(used)):
            _logger.info("%s: %d images are left alone, as %s does not name them", self.root, number, self.table)
        for path in used:
            check_regular(path)
        return paths

    def _parts_of_rows(self) -> np.ndarray:
        """Return for each row `train`, `test` or `val`, as a column `split` says; otherwise `train` for all."""
        if "split" not in self._file.names or "split" in self.targets:
            return np.full(len(self._file.table), "train")
        values = [value.lower() for value in self._values("split")]
        if unknown := sorted(set(values) - _PARTS.keys()):
            raise ValueError(f"{self.table}, column 'split': must say train, test or val, got {unknown[0]!r}")
        return np.array([_PARTS[value] for value in values])

    def _numbers(self) -> np.ndarray:
        if self.class_names is not None:
            return class_indices(self._file, self.targets[0], self.class_names)
        return self._file.numbers(self.targets).astype(np.float32)


class _Images:
    """The images in a folder and its folders, by all that a table may call them.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root.resolve().name
        self.paths = find_images([str(root)])
        relative = [Path(path).relative_to(root).as_posix() for path in self.paths]
        self.example = relative[0]
        self._levels: list[dict[str, list[str]]] = [{}, {}, {}, {}]
        for path, name in zip(self.paths, relative, strict=True):
            pure = PurePosixPath(name)
            for level, key in zip(self._levels, (name, str(pure.with_suffix("")), pure.name, pure.stem), strict=True):
                level.setdefault(key, []).append(path)

    def find(self, name: str) -> list[str]:
        """Return the images that a name may mean: a path in the folder, with or without ending, or a file's name."""
        path = PurePosixPath(name.replace("\\", "/"))
        parts = path.parts
        shorter = [PurePosixPath(*parts[i:]) for i in range(1, len(parts)) if parts[i - 1] == self.folder]
        for level in self._levels[: 2 if len(parts) > 1 else 4]:
            for key in map(str, [path, *shorter]):
                if key in level:
                    return level[key]
        return []
