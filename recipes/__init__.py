"""One package per paper; run them with ``mammo-tf recipe NAME``."""

if __name__ != "mammo_tf.recipes":
    raise ImportError("Import 'mammo_tf.recipes', not the bare folder 'recipes'.")
