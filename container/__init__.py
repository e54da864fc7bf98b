"""The programs of the image: `python -m container train`, `compare` or `serve`.

They keep SageMaker's contract for containers ("How Amazon SageMaker AI Runs Your Training Image" and "Custom Inference
Code with Hosting Services", Amazon SageMaker AI Developer Guide). Two variables move what the contract fixes, so that
they also run as plain processes: `ML_ROOT`, by default /opt/ml, and `BIND_HOST`, by default every address.
"""

import os
from pathlib import Path


def ml_root() -> Path:
    """Return the folder of data, models and results."""
    return Path(os.environ.get("ML_ROOT", "/opt/ml"))
