"""minidl: a deep-learning engine to read, to import and to run."""

from minidl import errors as errors
from minidl import ops as ops
from minidl.autograd import (
    detect_anomaly,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
)
from minidl.backends import use_backend
from minidl.creation import *  # noqa: F403
from minidl.gradcheck import gradcheck
from minidl.op import Op
from minidl.ops import *  # noqa: F403
from minidl.config import show_config
from minidl.io import load, save
from minidl.random import manual_seed
from minidl.tensor import Tensor, get_default_dtype, set_default_dtype
