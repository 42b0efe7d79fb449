"""What one file may cost: every cap in one place, each with its reason.

The aim: whatever a file says, reading it takes at most 10 s and 1 GB beyond what its honest pixels
need. `tools/fuzz.py` measures that; docs/security.md explains it.
"""

# A digital mammogram has 4 to 30 million pixels, a film scanned at 42 µm up to 45 million. At 25 µm
# a film of 24 × 30 cm has 115, but no scanner of mammograms in use goes below 40 µm: 100 leaves
# twice the largest known. JPEG decoders take 10 bytes a pixel, so a false claim costs 1 GB at most.
MAX_PIXELS = 100_000_000

# Reading one file, where a main thread does it: far above what the largest honest one takes on a
# busy machine, since the caps below are what keeps hostile ones short.
MAX_SECONDS = 120.0

# Private elements, icons, overlays: everything in a DICOM file that is not pixels.
HEADER_ALLOWANCE_BYTES = 64 * 1024 * 1024
# Reads that parsing may take, two for most elements, those in sequences included. Mammograms have
# 100 to 1,000 elements; the costliest 50,000 reads take about a second.
MAX_HEADER_READS = 50_000
# One value of the header: text, numbers. Explicit VR stores most of them in at most this many.
MAX_VALUE_BYTES = 1 << 16
# Items of one sequence that is read (views, their modifiers, LUTs); vendors write 1 to 4.
MAX_ITEMS = 64
# A LUT has at most 65536 entries of 16 bits; a little more stands for padding.
MAX_LUT_BYTES = (1 << 17) + 2
# Fragments of the one frame; encoders write one, or pieces of a few kilobytes.
MAX_FRAGMENTS = 100_000

# Markers, boxes and tile-parts of a compressed frame; 10,000 tiles in six parts have 60,000.
MAX_MARKERS = 200_000

# JPEG 2000. OpenJPEG holds about 7 kB for each tile that is declared, 500 bytes for each precinct.
MAX_TILES = 10_000
MAX_PRECINCTS = 200_000
MAX_PACKETS = 5_000_000
# Code blocks of fewer samples cost the decoder more memory than the pixels do.
MIN_CODE_BLOCK_AREA_LOG2 = 8
# Decoders step through an image by the smallest precinct's side, so it must not be tiny.
MIN_PRECINCT_SIDE_LOG2 = 5

# Compression beyond this is a false claim once the image is large: the paper's strongest ratio,
# 11000, is 5,500 pixels of 16 bits a byte. JPEG-LS is lossless or nearly so: rarely above 10.
LARGE_IMAGE_PIXELS = 16_000_000
MAX_JPEG2000_PIXELS_PER_BYTE = 12_000
MAX_JPEG_LS_PIXELS_PER_BYTE = 1_000
# The decoder reads 7 million pixels of JPEG-LS a second; film is not kept in it.
MAX_JPEG_LS_PIXELS = 60_000_000

# PNG and TIFF. libpng writes chunks of 8 kB; TIFF writers use some 30 tags and a strip for each row
# or fewer. Deflate packs at most 1,032 bytes into one, LZW at most about 1,400.
MAX_PNG_CHUNKS = 100_000
MAX_TIFF_ENTRIES = 1_000
MAX_TIFF_VALUES = 200_000
MAX_EXPANSION = 1_500
