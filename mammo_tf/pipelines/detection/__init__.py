"""Detection: images with boxes, augmentation that moves both, batches for any Keras backend."""
