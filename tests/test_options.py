"""Lists that are typed in a command."""

import pytest

from tools.options import listed, named_folders


@pytest.mark.parametrize("given", ["a,b", " a , b ", ["a", "b"], ("a", " b"), "a,,b,"])
def test_lists(given):
    assert listed(given) == ["a", "b"]


@pytest.mark.parametrize("given", ["a=x,b=y/z=1", " a = x , b = y/z=1", ["a=x", "b=y/z=1"], {"a": "x", "b": "y/z=1"}])
def test_folders_with_names(given):
    assert named_folders("--models", given) == {"a": "x", "b": "y/z=1"}


@pytest.mark.parametrize("given", ["x", "=x", "a=", "a= ,b=x", "a=x,a=y", "real=x"])
def test_folders_without_a_name_of_their_own(given):
    with pytest.raises(ValueError, match=f"--models is '{given}', expected a=DIR,b=DIR with a name for every model"):
        named_folders("--models", given)
