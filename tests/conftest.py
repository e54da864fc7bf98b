"""The profiles of hypothesis: `short` for `make test`, and `torture`, chosen with HYPOTHESIS_PROFILE."""

from hypothesis import settings

from tests.support.examples import PROFILE, PROFILES

for name, profile in PROFILES.items():
    settings.register_profile(name, profile)
settings.load_profile(PROFILE)
