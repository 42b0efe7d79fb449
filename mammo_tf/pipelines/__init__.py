"""From records to training batches.

`breast_pairs` and `mias_tasks` make a `task.Task` of a built data set; `cache` keeps its images
for each compression ratio; `feed` turns them into batches. `geometry`, `matching` and
`lesion_patches` are plain functions on arrays. Nothing here imports TensorFlow until it is used.
"""
