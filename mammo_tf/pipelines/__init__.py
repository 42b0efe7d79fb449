"""From records to training batches.

`catalog` reads what a built data set holds, without its pixels. A function of `tasks` makes a plan
of it, and `plan.make_task` cuts the pixels: a `task.Task`, whatever the data set. `cache` keeps its
images for each compression ratio; `feed` turns them into batches. `detection` trains on the boxes
of a task. `geometry`, `matching`, `masks` and `sliding` are plain functions on arrays.
"""
