"""Adversarial training of one WideResNet."""
