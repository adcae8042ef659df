"""What all lessons use. Nothing here knows a lesson.

Explorables: explorables.py (a picture with controls), controls.py, live.py (one that follows a
training); recorded for pages without a kernel: recording.py (one), grids.py (at which settings),
named_settings.py (those that a lesson names), operations.py (what is drawn), player/ (the page).
Exercises: exercises.py (what is asked), answers.py (kinds of answers), feedback.py,
reports.py (for whoever teaches). Long runs: runs.py. The course as a whole: syllabus.py,
notebooks.py and pages.py (what README and docs take from it), execute.py, new_lesson.py and
check_lesson.py. For learners: copies.py, installation.py.
"""
