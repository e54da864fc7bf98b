"""Text for the terminal: photos and untrusted names."""

from PIL import Image

from console.terminal import half_blocks, printable


def test_a_photo_is_drawn_with_coloured_half_blocks() -> None:
    text = half_blocks(Image.new("RGB", (40, 20), (255, 0, 0)), 20, 10)
    assert text.plain == ("▀" * 20 + "\n") * 5


def test_the_name_of_a_file_cannot_send_control_characters_to_the_terminal() -> None:
    assert "\x1b" not in printable("\x1b[2Jbike.jpg")
