"""Datasets, the loader that makes batches of them, transforms of pictures, and where data comes from."""

from minidl.data import transforms
from minidl.data.cifar import CIFAR10, CIFAR100
from minidl.data.collate import default_collate
from minidl.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from minidl.data.digits import Digits
from minidl.data.folder import ImageFolder, load_image
from minidl.data.idx import read_idx
from minidl.data.loader import DataLoader
from minidl.data.mnist import MNIST, FashionMNIST
from minidl.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from minidl.data.seeding import current_generator
from minidl.data.workers import WorkerError

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "WorkerError",
    "current_generator",
    "default_collate",
    "load_image",
    "random_split",
    "read_idx",
    "transforms",
]
