"""ciGAN's losses: perceptual by region, boundary, adversarial and class; on any Keras backend."""

from keras import ops

EPSILON = 1e-6


def perceptual_loss(real_features, synthetic_features, masks, edges):
    """Returns how far apart the features of two patches are: a sum over layers and regions.

    At each layer the L1 difference is divided by the mean absolute feature of the real patches, so
    that layers of other magnitudes weigh the same; then averaged inside the lesion, outside it and
    on its boundary, each for itself. A region that a patch does not have gives 0. The paper sums
    over layers; that regions are taken apart is Wu et al.'s, and the division is ours.

    Args:
        real_features: List of (batch, height, width, channels), as `perceptual_network` gives.
        synthetic_features: The same of the synthetic patches.
        masks: (batch, side, side, 1) 1 in the lesion, 0 elsewhere.
        edges: (batch, side, side, 1) weights of the boundary, at least 0.

    Returns:
        A float32 scalar.

    Reference:
        Peterka et al. 2020, section 4.2; Wu et al. 2018.
    """
    regions = [masks, 1.0 - masks, edges]
    total = 0.0
    for real, synthetic in zip(real_features, synthetic_features, strict=True):
        scale = ops.stop_gradient(ops.mean(ops.abs(real))) + EPSILON
        distance = ops.mean(ops.abs(real - synthetic), axis=-1, keepdims=True) / scale
        for region in regions:
            total = total + ops.mean(_weighted_mean(distance, _pooled(region, distance)))
    return total


def boundary_loss(real, synthetic, edges):
    """Returns the L1 difference at the lesion's boundary, in grey levels of [0, 1].

    Args:
        real: (batch, side, side, 1) float32.
        synthetic: The same.
        edges: (batch, side, side, 1) weights; see `mammo_tf.pipelines.infill.boundary_weights`.

    Returns:
        A float32 scalar: the weighted mean of each patch, averaged over patches.

    Reference:
        Peterka et al. 2020, section 4.2.
    """
    return ops.mean(_weighted_mean(ops.abs(real - synthetic), edges))


def discriminator_loss(real_logits, synthetic_logits):
    """Returns the mean of the cross-entropies of real patches as real and others as synthetic.

    It is ln 2 = 0.69 for a discriminator that knows nothing.

    Args:
        real_logits: (batch, 1).
        synthetic_logits: (batch, 1).

    Reference:
        Peterka et al. 2020, section 4.2, as a loss to minimise.
    """
    real = ops.mean(ops.softplus(-real_logits))
    synthetic = ops.mean(ops.softplus(synthetic_logits))
    return (real + synthetic) / 2


def generator_adversarial_loss(synthetic_logits):
    """Returns the cross-entropy of synthetic patches as real: the form that does not saturate.

    Args:
        synthetic_logits: (batch, 1).
    """
    return ops.mean(ops.softplus(-synthetic_logits))


def class_loss(class_logits, labels):
    """Returns the cross-entropy of the class.

    Args:
        class_logits: (batch, 2).
        labels: (batch, 2) one-hot.
    """
    return -ops.mean(ops.sum(labels * ops.log_softmax(class_logits, axis=-1), axis=-1))


def _weighted_mean(values, weights):
    """(batch,) means over pixels; 0 where all weights are 0."""
    axes = (1, 2, 3)
    return ops.sum(values * weights, axis=axes) / (ops.sum(weights, axis=axes) + EPSILON)


def _pooled(region, like):
    """The region at the resolution of `like`, by averages."""
    factor = region.shape[1] // like.shape[1]
    return region if factor == 1 else ops.average_pool(region, factor, factor)
