"""Build the marts with dbt: tasks, the process dbt runs in, and what its results say."""

from jobs.transform.running import EXTENSIONS, TransformError, install_extensions
from jobs.transform.tasks import DbtDocs, DbtTransformations, Transform

__all__ = [
    "EXTENSIONS",
    "DbtDocs",
    "DbtTransformations",
    "Transform",
    "TransformError",
    "install_extensions",
]
