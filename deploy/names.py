"""Names of functions and workflows as CloudFormation writes them."""


def logical_id(name: str) -> str:
    """Return the name of a function's folder, a workflow or a field in CamelCase, as logical ids and outputs have it.

    >>> logical_id("classify_photo")
    'ClassifyPhoto'
    """
    return "".join(part.capitalize() for part in name.replace("-", "_").split("_"))
