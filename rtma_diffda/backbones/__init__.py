"""Networks only: tensors in, tensors out. What the channels mean is the caller's business."""
