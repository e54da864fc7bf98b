"""What runs inside SageMaker: the jobs `train` and `compare`, `inference` for the endpoint, and what these import.

Commands that people run are in operate/, except those that make the backbone and measure the model: they are in
training.research, which the archive for SageMaker leaves out.
"""

import os

# Before NumPy is imported: for matrices this small, synchronising OpenBLAS's threads takes longer than they save.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
