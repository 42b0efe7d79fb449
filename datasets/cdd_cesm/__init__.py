"""CDD-CESM: low-energy CC views of contrast-enhanced mammography, some with lesion masks."""
