"""Names of uploaded files."""

from console.uploads import clean


def test_the_name_of_a_file_cannot_change_the_prefix_of_its_key() -> None:
    assert clean("../../etc/passwd") == "passwd"
    assert clean("C:\\photos\\my bike.jpg") == "my bike.jpg"
    assert clean("..") == "photo"
