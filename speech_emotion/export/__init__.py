"""ONNX exports of a checkpoint."""
