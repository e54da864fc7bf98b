"""An account for each test of a deployment."""

from tests.support.deploy_fixtures import account, build, deployed

__all__ = ["account", "build", "deployed"]
