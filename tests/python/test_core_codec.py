"""Values as envelopes and back, without an engine."""

from __future__ import annotations

import collections
import pickle
import threading

import numpy as np
import pytest

from mobula import _core, util

Point = collections.namedtuple("Point", "x y")


def there_and_back(value):
    return _core.decode(_core.encode(value))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**62,
        2**64,
        -(2**70),
        1.5,
        float("inf"),
        "",
        "ünï\U0001f41f",
        b"",
        b"\x00\xff",
        (1, "a"),
        [1, [2]],
        {"a": (1,)},
        {1, 2},
        frozenset("ab"),
        bytearray(b"xy"),
        1 + 2j,
        range(3),
        Point(1, 2),
        int,
    ],
    ids=repr,
)
def test_a_value_comes_back_equal_and_of_its_type(value):
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


def test_a_string_that_is_not_unicode_comes_back():
    assert there_and_back("\ud800") == "\ud800"


def test_arrays_come_back_as_read_only_views_of_aligned_memory():
    array = np.arange(1000, dtype=np.float32).reshape(10, 100)
    back = there_and_back(array)
    assert np.array_equal(back, array)
    assert not back.flags.writeable
    assert not back.flags.owndata
    assert back.ctypes.data % 64 == 0


def test_arrays_in_one_value_keep_their_places():
    value = {"a": np.zeros(3), "b": [np.ones(2), np.full(5, 7)], "empty": np.empty((0, 3))}
    back = there_and_back(value)
    assert back["a"].tolist() == [0, 0, 0]
    assert back["b"][1].tolist() == [7] * 5
    assert back["empty"].shape == (0, 3)


def test_what_is_shared_inside_a_value_stays_shared():
    inner = [1]
    back = there_and_back([inner, inner])
    assert back[0] is back[1]


def test_functions_and_classes_made_on_the_spot_travel():
    base = 10

    class Local:
        def value(self):
            return base

    assert there_and_back(lambda x: x + base)(5) == 15
    assert (
        there_and_back(Local())().value() == 10
        if callable(Local())
        else there_and_back(Local()).value() == 10
    )


def test_a_picker_that_failed_does_not_spoil_the_next_value():
    with pytest.raises(TypeError, match="lock"):
        _core.encode([1, threading.Lock()])
    assert there_and_back([1, 2]) == [1, 2]


def test_the_error_names_the_way_to_what_cannot_be_pickled():
    class Holder:
        def __init__(self):
            self.lock = threading.Lock()

    with pytest.raises(TypeError, match=r"key 'a', attribute 'lock' of Holder is <unlocked _thread.lock"):
        _core.encode({"a": Holder()})


def test_values_can_be_encoded_while_another_is():
    class Nested:
        def __reduce__(self):
            return bytes, (_core.encode({"inner": 1}),)

    assert _core.decode(there_and_back(Nested())) == {"inner": 1}


def test_a_serializer_is_used_until_it_is_taken_back():
    class Handle:
        def __init__(self, name):
            self.name, self.lock = name, threading.Lock()

    util.register_serializer(
        Handle, serializer=lambda h: h.name, deserializer=lambda name: Handle(name + "!")
    )
    assert there_and_back(Handle("h")).name == "h!"
    util.deregister_serializer(Handle)
    with pytest.raises(TypeError):
        _core.encode(Handle("h"))


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 40])
def test_a_damaged_envelope_is_an_error(cut):
    whole = _core.encode({"a": np.arange(5)})
    with pytest.raises((ValueError, EOFError, pickle.UnpicklingError)):
        _core.decode(whole[:cut])


def test_a_view_keeps_its_memory_and_pickles_as_bytes():
    array = there_and_back(np.arange(4, dtype=np.uint8))
    view = array.base
    while not isinstance(view, _core.View):
        view = view.obj if isinstance(view, memoryview) else view.base
    assert len(view) == 4
    assert bytes(memoryview(view)) == b"\x00\x01\x02\x03"
    assert pickle.loads(pickle.dumps(view)) == b"\x00\x01\x02\x03"


def test_the_culprits_of_a_value_are_listed(capsys):
    good, failures = util.inspect_serializability([1, 2])
    assert good and failures == set()
    good, failures = util.inspect_serializability({"x": threading.Lock()}, name="the value")
    assert not good
    assert [failure.name for failure in failures] == ["the value of key 'x'"]
    assert "the value cannot be pickled" in capsys.readouterr().out
