"""Show photos as the console does, in a process of its own.

    python -m tests.torture.console STACK_OUTPUTS < PHOTOS

STACK_OUTPUTS is JSON; PHOTOS has a JSON line per photo: bucket, key, etag, size. Prints a JSON line per photo and size:
`bytes` of the JPEG file, or the `sentence` that the reviewer reads.
"""

import json
import sys
from types import SimpleNamespace
from typing import Any, cast

from fastapi import HTTPException

from console.aws import Aws
from console.photos import Photos
from console.web.routers.images import photo as photo_page
from deploy.outputs import Deployed
from functions.shared.photo import Photo


def main() -> None:
    """Answer for every photo on standard input."""
    photos = Photos(Deployed(**json.loads(sys.argv[1])), Aws())
    for line in sys.stdin:
        request = SimpleNamespace(photo=Photo(**json.loads(line)))
        services = SimpleNamespace(photos=photos, desk=SimpleNamespace(find_request=lambda _, found=request: found))
        for size in ("thumb", "large"):
            answer: dict[str, Any]
            try:
                page = photo_page(request.photo.photo_id, cast(Any, services), size)
                answer = {"bytes": len(page.body)}
            except HTTPException as error:
                answer = {"sentence": error.detail}
            print(json.dumps({"key": request.photo.key, "size": size, **answer}), flush=True)


if __name__ == "__main__":
    main()
