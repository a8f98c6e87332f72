"""Engine of AdaDFQ Playground: adaptive data-free quantization without any user interface."""
