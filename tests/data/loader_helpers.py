"""Datasets and functions for the worker tests: a fresh process must be able to import them."""

import os
import random
import signal
import time

import numpy as np

from minidl._kernels import get_num_threads
from minidl.data import Dataset, current_generator


class Probe(Dataset):
    """Items that tell where and with which random numbers they were made."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return {
            "index": index,
            "pid": os.getpid(),
            "noise": current_generator().random(),
            "global": (random.random(), np.random.random()),  # noqa: NPY002
            "threads": get_num_threads(),
            "environment": os.environ.get("OMP_NUM_THREADS", ""),
            "image": np.full((3, 4), index, np.float32),
            "nothing": np.zeros((0, 2)),
        }


class Fails(Dataset):
    """Item 5 is broken."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index == 5:
            raise self.error
        return index


class TwoArgumentsError(Exception):
    """Pickles, but does not come back."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Dies(Dataset):
    """The process that reads item 5 ends at once, in the way that `how` says."""

    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index == 5:
            if self.how == "exit":
                os._exit(3)
            os.kill(os.getpid(), getattr(signal, self.how))
        return index


class Sleeps(Dataset):
    """Item 4 takes a minute."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index == 4:
            time.sleep(60)
        return index, os.getpid()


class Unsendable(Dataset):
    """Its items cannot be pickled."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return lambda: index


def keep(items):
    return items


def announce(number):
    os.environ["MINIDL_TEST_WORKER"] = str(number)


def worker_number(items):
    return [os.environ.get("MINIDL_TEST_WORKER") for _ in items]


def refuse(number):
    raise ValueError(f"worker {number} refuses")
