"""The profiles of hypothesis: `short` for `make test`, and `torture`, chosen with HYPOTHESIS_PROFILE."""

from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests.support.examples import PROFILE, PROFILES

# Hypothesis caches the constants of the code there.
set_hypothesis_home_dir(Path(__file__).parents[1] / "build" / "hypothesis")
for name, profile in PROFILES.items():
    settings.register_profile(name, profile)
settings.load_profile(PROFILE)
