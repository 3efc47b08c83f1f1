"""Files that hold data: FashionMNIST, images, tables and arrays, checked before they are read."""

from lightning_template.engine.files import fashion_mnist_files
from lightning_template.engine.files.array_file import ArrayFile
from lightning_template.engine.files.array_samples import ArraySamples, Layout, digests_of_arrays
from lightning_template.engine.files.class_folders import ClassFolders
from lightning_template.engine.files.data_files import DataDigest, digest_of_file
from lightning_template.engine.files.image_files import ImageFiles
from lightning_template.engine.files.image_samples import image_samples
from lightning_template.engine.files.image_table import ImageTable
from lightning_template.engine.files.readers import (
    ArrayReader,
    FileReader,
    ImageReader,
    InputsOfFiles,
    OneFileReader,
    TableReader,
)
from lightning_template.engine.files.table_file import TableFile
from lightning_template.engine.files.table_inputs import TableInputs
from lightning_template.engine.files.table_samples import TableSamples, check_columns

__all__ = [
    "ArrayFile",
    "ArrayReader",
    "ArraySamples",
    "ClassFolders",
    "DataDigest",
    "FileReader",
    "ImageFiles",
    "ImageReader",
    "ImageTable",
    "InputsOfFiles",
    "Layout",
    "OneFileReader",
    "TableFile",
    "TableInputs",
    "TableReader",
    "TableSamples",
    "check_columns",
    "digest_of_file",
    "digests_of_arrays",
    "fashion_mnist_files",
    "image_samples",
]
