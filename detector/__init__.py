"""The watchkeeper daemon: a core without I/O (detector.core) and a thin shell around it. Never imports torch."""

import os

# From 1.29 on onnxruntime reports each session to its makers unless this is set before it is imported; nobody asked
# for that, and a plant's network should not see it. Its own switch (disable_telemetry_events) comes too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
