"""File names of uploads."""

from console.uploads import safe_file_name


def test_the_name_of_a_file_cannot_change_the_prefix_of_its_key() -> None:
    assert safe_file_name("../../etc/passwd") == "passwd"
    assert safe_file_name("C:\\photos\\my bike.jpg") == "my bike.jpg"
    assert safe_file_name("..") == "photo"
