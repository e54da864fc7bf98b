"""Object keys with characters that XML cannot contain, that URLs give a meaning to, or that a path would resolve."""

KEYS = [
    "uploads/a\x01b", "uploads/\x0b", "uploads/\x7f", "uploads/\u0085", "uploads/a\nb", "uploads/a\rb",
    "uploads/\ufffe", "uploads/\uffff", "uploads/a cat's $photo.jpg", "uploads/%2F", "uploads/+", "/leading",
    "uploads/../x", "uploads/x/", 'uploads/a&<b>"]]>',
]  # fmt: skip
