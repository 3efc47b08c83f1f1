"""Files that hold data: FashionMNIST, images, tables and arrays, checked before they are read."""

from lightning_template.engine.files import fashion_mnist_files
from lightning_template.engine.files.claims import check_claims
from lightning_template.engine.files.data_files import (
    MAX_HASHED_BYTES,
    DataDigest,
    check_archive,
    check_regular,
    digest_of_archive,
    digest_of_file,
    digest_of_folder,
    not_found,
)
from lightning_template.engine.files.image_files import SUFFIXES, ImageFiles, find_images, images_among, read_images
from lightning_template.engine.files.table_file import TableFile

__all__ = [
    "MAX_HASHED_BYTES",
    "SUFFIXES",
    "DataDigest",
    "ImageFiles",
    "TableFile",
    "check_archive",
    "check_claims",
    "check_regular",
    "digest_of_archive",
    "digest_of_file",
    "digest_of_folder",
    "fashion_mnist_files",
    "find_images",
    "images_among",
    "not_found",
    "read_images",
]
