import pytest

from gateway.durable.shapes import read_shapes
from gateway.kernel.errors import Misconfigured


def shapes_of(tmp_path, text):
    path = tmp_path / "shapes.toml"
    path.write_text(text, encoding="utf-8")
    return read_shapes(path)


def test_shapes_are_read_oldest_first(tmp_path):
    read = shapes_of(tmp_path, '[[shape]]\nname = "1"\n[[shape]]\nname = "2"\nsucceeds = ["1"]\n')
    assert [(shape.name, shape.succeeds) for shape in read] == [("1", ()), ("2", ("1",))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[shape]]\nname = "1"\n[[shape]]\nname = "1"\n', "used twice"),
        ('[[shape]]\nname = "no name"\n', "is no name"),
        ('[[shape]]\nname = "1"\nsucceeds = ["2"]\n[[shape]]\nname = "2"\n', "no earlier shape"),
        ("shape = []\n", "declares no shape"),
    ],
)
def test_a_file_that_says_nothing_sure_is_refused(tmp_path, text, told):
    with pytest.raises(Misconfigured, match=told):
        shapes_of(tmp_path, text)
