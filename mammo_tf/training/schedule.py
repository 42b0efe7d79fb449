"""The learning rate at each step."""

import math

from mammo_tf.training.config import TrainingConfig

# The cosine ends at this share of the full rate.
FINAL_SHARE = 0.01
# The staircase of Peterka et al. 2020, section 5.
STAIR_FACTOR, STAIR_EPOCHS = 0.9, 30


def learning_rate_at(step: int, config: TrainingConfig, steps_per_epoch: int) -> float:
    """Returns the learning rate of a training step.

    It rises linearly over the warm-up, then stays ("constant"), falls along half a cosine
    ("cosine") to a hundredth in the last step, or is multiplied by 0.9 after every 30 epochs
    ("staircase"). Not stated in the compression paper.

    Args:
        step: Number of the step, from 0.
        config: `learning_rate`, `schedule`, `warmup_epochs` and `epochs` are read.
        steps_per_epoch: Steps an epoch, at least 1.

    Returns:
        The rate, above 0.

    Examples:
        >>> learning_rate_at(0, TrainingConfig(learning_rate=0.1, warmup_epochs=1), 10)
        0.01
    """
    warmup = round(min(config.warmup_epochs, config.epochs) * steps_per_epoch)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "staircase":
        return config.learning_rate * STAIR_FACTOR ** (step // (STAIR_EPOCHS * steps_per_epoch))
    last = max(1, config.epochs * steps_per_epoch - warmup - 1)
    share = min(1.0, (step - warmup) / last)
    falling = (1 + math.cos(math.pi * share)) / 2
    return config.learning_rate * (FINAL_SHARE + (1 - FINAL_SHARE) * falling)
