"""The syllabus: what it refuses, and which lessons are neighbors."""

import pytest

from node_tutorial.course import syllabus

PART = "Part I, solving\n"
LESSON = "00 start_here: Start here\n    the map\n"


def test_a_lesson_has_what_its_two_lines_say():
    second = '01 euler: Euler: "a step", and more (needs 00)\n    a layer (is) a step\n'
    parts, lessons = syllabus.read(PART + LESSON + second)
    assert parts == {"I": "Part I, solving"}
    title = 'Euler: "a step", and more'
    assert lessons["01"] == ("01", "euler", title, "I", ("00",), "a layer (is) a step")
    assert lessons["01"].notebook == "01_euler.ipynb"
    assert lessons["01"].binder.endswith("/notebooks/01_euler.ipynb")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LESSON, "lesson 00 stands before the first part"),
        (PART + LESSON + LESSON, "lesson 00 comes after 00; lessons stand in order, each once"),
        (PART + LESSON + LESSON.replace("00", "01"), "lesson 01 has the stem 'start_here'"),
        (PART + LESSON.replace("here\n", "here (needs 07)\n"), "lesson 00 needs 07, which"),
        (PART + LESSON.splitlines()[0], "lesson 00 has no second line"),
        (PART + "7 Seven\n", "'7 Seven' is neither 'Part X, name' nor a lesson"),
    ],
)
def test_what_does_not_fit_is_named(text, problem):
    with pytest.raises(ValueError, match=problem):
        syllabus.read(text)


def test_what_is_written_is_read():
    assert syllabus.write(syllabus.PARTS, syllabus.SYLLABUS) == syllabus.TEXT


def test_neighbors_are_the_nearest_lessons_that_exist():
    ready = list(syllabus.READY)
    for before, number, after in zip([None, *ready], ready, [*ready[1:], None]):
        expected = (syllabus.READY.get(before), syllabus.READY.get(after))
        assert syllabus.neighbors(number) == expected
