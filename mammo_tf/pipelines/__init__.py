"""From records to training batches.

`breast_pairs` and `mias_tasks` make a `task.Task` of a built data set; `cache` keeps its images
for each compression ratio; `feed` turns them into batches. `mias_films` reads whole films, of which
`mias_patches` cuts patches of three classes and `detection` makes images with boxes. `geometry`,
`matching`, `lesion_patches` and `sliding` are plain functions on arrays. Nothing here imports
TensorFlow until it is used.
"""
