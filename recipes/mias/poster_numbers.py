"""What the poster reports (Jin and Zheng), to stand beside our numbers."""

AVERAGE_PRECISION = {
    "test": {"benign": 0.8, "malignant": 0.806, "mAP": 0.803},
    "all": {"benign": 0.879, "malignant": 0.907, "mAP": 0.902},
}
SLIP = "The poster's averages for all sets do not fit: 0.879 and 0.907 average 0.893, not 0.902."
