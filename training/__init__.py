"""Everything that runs inside SageMaker: data, model, training, evaluation and serving (script mode)."""

import os

# Before NumPy is imported: on matrices as small as ours, OpenBLAS's threads cost more in waiting than they gain.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
