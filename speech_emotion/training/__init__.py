"""Training: arguments, data, the Trainer, distillation and checkpoints."""
