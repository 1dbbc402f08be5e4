"""Disks for machines: those that the rig builds, and cloud images."""
