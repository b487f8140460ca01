"""The watchkeeper trainer: history in, bundle out. Needs torch; the detector never imports it."""

import detector  # noqa: F401  # before onnxruntime: see there
