"""Files that replace parts of the image, to train fast or to fail."""

from pathlib import Path

from deploy.package import ROOT

# Writes the model in the folder `ready` of the package under the name of this job, without training.
COPY_READY_MODEL = """
import json, os, shutil
from pathlib import Path

from training.digests import write_digests

def main(arguments):
    out = Path(next(word.partition("=")[2] for word in arguments if word.startswith("--model-dir=")))
    shutil.copytree(Path(__file__).resolve().parent / "ready", out, dirs_exist_ok=True)
    about = json.loads((out / "model.json").read_text())
    about["version"] = os.environ["TRAINING_JOB_NAME"]
    (out / "model.json").write_text(json.dumps(about))
    write_digests(out)
    print("features 1/1", flush=True)
"""
# Writes the evaluation report in the package instead of comparing models.
COPY_READY_REPORT = """
from pathlib import Path

INPUTS = ()

def main(arguments):
    out = Path(next(word.partition("=")[2] for word in arguments if word.startswith("--out=")))
    out.mkdir(parents=True, exist_ok=True)
    report = Path(__file__).resolve().parent / "evaluation.json"
    (out / "evaluation.json").write_bytes(report.read_bytes())
"""
FAILING_JOB = """
INPUTS = ()

def main(arguments):
    raise OSError("the disk is full")
"""
FAILING_SERVER = {"container/app.py": 'raise RuntimeError("this server needs a library that is not installed")\n'}
SERVER_THAT_ANSWERS_OTHER = {
    "container/app.py": (ROOT / "container" / "app.py").read_text(encoding="utf-8")
    + """
_classify = classify

def classify(photo, model):
    return {**_classify(photo, model), "vehicle": "other"}
"""
}


def server_that_fails_after(sign: Path) -> dict[str, str]:
    """A server that answers every request with HTTP 500 once the file `sign` exists."""
    return {
        "container/app.py": (ROOT / "container" / "app.py").read_text(encoding="utf-8")
        + f"""
_classify = classify

def classify(photo, model):
    if os.path.exists({str(sign)!r}):
        raise RuntimeError("this server has lost its model")
    return _classify(photo, model)

import os
"""
    }
