"""Images in ECR: pushed as a folder, found by their URI.

Patch: `ecr._describe_images` refuses an image that does not exist, as AWS does; ministack returns an empty list.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import ecr

from local import patches
from local.images.dockerfile import BuildFailed, Stage
from local.settings import Settings

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<repository>[^:@]+)"
    r"(?:@(?P<imageDigest>sha256:[0-9a-f]{64})|:(?P<imageTag>[\w.-]+))?"
)


class ImageMissing(Exception):
    """There is no image of this URI."""


@dataclass(frozen=True)
class Image:
    """An image: the folder of its files, and its configuration."""

    root: Path
    environment: dict[str, str]
    entrypoint: list[str]
    cmd: list[str]
    workdir: str

    @property
    def cwd(self) -> Path:
        """The working directory of its processes."""
        return self.root / self.workdir.lstrip("/")

    def variables(self) -> dict[str, str]:
        """Return its ENV, with the places of files in its folder instead of their paths in the image."""
        return {name: ":".join(map(self._placed, value.split(":"))) for name, value in self.environment.items()}

    def _placed(self, path: str) -> str:
        placed = self.root / path.lstrip("/")
        return str(placed) if path.startswith("/") and path != "/" and placed.exists() else path


class Images:
    """The images that were pushed to this server."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.images

    def push(self, stage: Stage, uri: str) -> str:
        """Add an image to its ECR repository with the tag of `uri`; returns its digest. Raises BuildFailed."""
        match = URI.fullmatch(uri)
        if match is None or not match["imageTag"] or (match["account"], match["region"]) != _here():
            raise BuildFailed(f"{uri} names no repository and tag of this account and region")
        files = {
            path.relative_to(stage.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(stage.root.rglob("*"))
            if path.is_file()
        }
        manifest = json.dumps({"schemaVersion": 2, "config": stage.config(), "files": files}, sort_keys=True)
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        place = self._folder / digest
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(stage.root, place)
        request = {
            "repositoryName": match["repository"],
            "imageManifest": manifest,
            "imageManifestMediaType": MEDIA_TYPE,
            "imageTag": match["imageTag"],
        }
        status, _headers, body = ecr._put_image(request)
        if status >= 400:
            raise BuildFailed(str(json.loads(body).get("message", body)))
        return f"sha256:{digest}"

    def find(self, uri: str) -> Image:
        """Return the image of a URI with a tag or a digest, by default the tag `latest`. Raises ImageMissing."""
        match = URI.fullmatch(uri)
        found = None
        if match is not None and (match["account"], match["region"]) == _here():
            wanted = {"imageTag": match["imageTag"] or ("" if match["imageDigest"] else "latest")}
            found = ecr._find_image(match["repository"], {**wanted, "imageDigest": match["imageDigest"]})
        root = self._folder / found["imageDigest"].removeprefix("sha256:") if found else None
        if found is None or root is None or not root.is_dir():
            raise ImageMissing(f"Requested image {uri} not found.")
        config = json.loads(found["imageManifest"])["config"]
        return Image(root, config["Env"], config["Entrypoint"], config["Cmd"], config["WorkingDir"])

    def remove_unused(self) -> None:
        """Remove the folders of images that no repository has, of all accounts and regions."""
        lists = ecr._images._data.values()
        used = {image["imageDigest"].removeprefix("sha256:") for images in lists for image in images}
        for folder in self._folder.glob("*"):
            if folder.name not in used:
                shutil.rmtree(folder)


def repository_arn(uri: str) -> str:
    """Return the ARN of the repository that the URI of an image names. Raises BuildFailed for another text."""
    match = URI.fullmatch(uri)
    if match is None:
        raise BuildFailed(f"{uri} names no image in ECR")
    return f"arn:aws:ecr:{match['region']}:{match['account']}:repository/{match['repository']}"


def _here() -> tuple[str, str]:
    return get_account_id(), get_region()


def install(settings: Settings) -> Images:
    """Apply the patch of this module; returns the images."""

    def describe(data: dict[str, Any]) -> Any:
        name = data.get("repositoryName", "")
        for wanted in data.get("imageIds") or () if name in ecr._repositories else ():
            if ecr._find_image(name, wanted) is None:
                shown = ", ".join(f"{key}:'{value}'" for key, value in wanted.items())
                message = f"The image with imageId {{{shown}}} does not exist within the repository with name '{name}'"
                return error_response_json("ImageNotFoundException", message, 400)
        return original(data)

    original: Callable[..., Any] = patches.replace(ecr, "_describe_images", "data", describe)
    patches.expect(ecr, "_put_image", "data")
    patches.expect(ecr, "_find_image", "repo_name image_id")
    return Images(settings)
