"""The sizes of what is deployed to Lambda."""

from pathlib import Path

from deploy.package import FUNCTIONS, THIS_RUNTIME, build_function, build_layer


def measure(build: Path) -> dict[str, dict[str, int] | int]:
    """Return the bytes of each function's zip and of the layer's; `build` is the folder of `deploy.system`."""
    return {
        "functions": {name: len(build_function(name)) for name in FUNCTIONS},
        "layer": len(build_layer(build, THIS_RUNTIME).artefact.content),
    }
