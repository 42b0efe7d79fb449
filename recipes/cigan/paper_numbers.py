"""The numbers printed in Peterka et al. 2020, to stand beside ours."""

# Section 4.1: patches in all.
NUM_PATCHES = {"normal": 1743, "benign": 2198, "malignant": 1525}
# Table 1: (accuracy, recall, AUC).
SHALLOW = (0.57267, 0.44810, 0.54943)
PRETRAINED = (0.60155, 0.55769, 0.59443)
TRADITIONAL = (0.67132, 0.64231, 0.66666)
ARTIFICIAL = (0.76145, 0.61538, 0.71638)
AUROC_GAIN = ARTIFICIAL[2] - TRADITIONAL[2]

SLIP = (
    "The paper's sentence on recall divides by true and false positives, which is precision; here "
    "recall is the share of malignant patches that are called malignant. The paper has one "
    "training each, no intervals, and takes its validation images from the test set."
)
