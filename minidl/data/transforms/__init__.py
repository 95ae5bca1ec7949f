"""Transforms of pictures, after torchvision's: for NumPy arrays, PIL images and Tensors."""

from minidl.data.seeding import current_generator
from minidl.data.transforms.affine import RandomAffine, RandomRotation
from minidl.data.transforms.base import Compose, Lambda, Transform
from minidl.data.transforms.color import ColorJitter, Grayscale
from minidl.data.transforms.convert import Normalize, ToTensor
from minidl.data.transforms.crop import (
    CenterCrop,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Resize,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Grayscale",
    "Lambda",
    "Normalize",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
    "Transform",
    "current_generator",
]
