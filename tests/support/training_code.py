"""Files that replace parts of the training code or of a model, to train fast or to fail."""

# Writes the model in the folder `ready` of the source archive under the name of this job, without training.
COPY_READY_MODEL = """
import json, os, shutil
from pathlib import Path

from training.digests import write_digests

out = Path(os.environ["SM_MODEL_DIR"])
shutil.copytree(Path(__file__).resolve().parent.parent / "ready", out, dirs_exist_ok=True)
about = json.loads((out / "model.json").read_text())
about["version"] = os.environ["TRAINING_JOB_NAME"]
(out / "model.json").write_text(json.dumps(about))
write_digests(out)
print("features 1/1", flush=True)
"""
# Writes the evaluation report at the root of the source archive instead of comparing models.
COPY_READY_REPORT = """
import sys
from pathlib import Path

out = Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir(parents=True, exist_ok=True)
report = Path(__file__).resolve().parent.parent / "evaluation.json"
(out / "evaluation.json").write_bytes(report.read_bytes())
"""
FAILING_JOB = 'raise SystemExit("the disk is full")\n'
FAILING_MODEL = 'raise RuntimeError("this model was saved by a later version")\n'
MODEL_THAT_ANSWERS_OTHER = """
from training.inference import input_fn, model_fn, output_fn
from training import inference

def predict_fn(photo, model, context=None):
    return {**inference.predict_fn(photo, model), "vehicle": "other"}
"""
