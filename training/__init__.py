"""The code that runs in SageMaker: the jobs `train` and `compare`, `inference` for the endpoint, and their imports.

training.research holds the commands that create the backbone and measure the model; the source archive for SageMaker
does not contain it. All other commands are in operate/.
"""

import os

# Before NumPy is imported: for matrices this small, synchronising OpenBLAS's threads takes longer than they save.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
