"""The engine on a GPU, or on the stand-in for CuPy: devices, networks, optimizers, the trainer, checkpoints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.backends.cuda import transfer
from minidl.data import DataLoader, TensorDataset
from minidl.errors import DeviceError
from minidl.train import Accuracy, Checkpoint, Trainer


def noise(*shape, seed=0):
    return minidl.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


# Devices


def test_a_tensor_goes_there_and_back():
    x = noise(2, 3)
    there = x.to("cuda")
    assert there.device == "cuda:0" and x.device == "cpu"
    assert there.to("cuda:0") is there and there.cuda() is there
    np.testing.assert_array_equal(there.cpu().numpy(), x.numpy())


def test_gradients_cross_devices():
    x = noise(2, 3).requires_grad_()
    (x.to("cuda") * 2).cpu().sum().backward()
    assert x.grad.device == "cpu"
    np.testing.assert_array_equal(x.grad.numpy(), np.full((2, 3), 2, np.float32))


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: minidl.tensor([1.0, 2.0], **o),
        lambda **o: minidl.zeros(2, 3, **o),
        lambda **o: minidl.full((2,), 7, **o),
        lambda **o: minidl.arange(5, **o),
        lambda **o: minidl.eye(3, **o),
        lambda **o: minidl.linspace(0, 1, 3, **o),
        lambda **o: minidl.randint(0, 9, (4,), **o),
        lambda **o: minidl.randn(3, **o),
        lambda **o: minidl.rand(3, **o),
        lambda **o: minidl.randperm(5, **o),
    ],
)
def test_creation_on_a_device_gives_the_same_numbers(make):
    minidl.manual_seed(3)
    here = make()
    minidl.manual_seed(3)
    there = make(device="cuda")
    assert (here.device, there.device) == ("cpu", "cuda:0")
    np.testing.assert_array_equal(there.cpu().numpy(), here.numpy())


def test_like_stays_on_the_device():
    x = minidl.zeros(2, device="cuda")
    for function in (minidl.zeros_like, minidl.ones_like, minidl.empty_like, minidl.randn_like, minidl.rand_like):
        assert function(x).device == "cuda:0"
        assert function(x, device="cpu").device == "cpu"


def test_mixed_devices_are_refused_and_named():
    here, there = noise(2, 2), noise(2, 2).to("cuda")
    for function in (minidl.add, minidl.mul, minidl.matmul, minidl.maximum, minidl.linear):
        for pair in ((here, there), (there, here)):
            with pytest.raises(DeviceError, match="cpu and cuda:0"):
                function(*pair)
    picture, kernel, labels, F = noise(2, 3, 4, 4), noise(2, 3, 2, 2), minidl.tensor([0, 1]), nn.functional
    for function, *pair in (
        (F.conv2d, picture, kernel),
        (lambda x, w: F.batch_norm(x, None, None, w, training=True), picture, noise(3)),
        (lambda x, w: F.layer_norm(x, (4,), w), picture, noise(4)),
        (F.cross_entropy, here, labels),
        (F.embedding, labels, here),
    ):
        for sent in range(2):
            mixed = [x.to("cuda") if i == sent else x for i, x in enumerate(pair)]
            with pytest.raises(DeviceError, match="cpu and cuda:0"):
                function(*mixed)


def test_nothing_is_fetched_silently():
    there = noise(2).to("cuda")
    with pytest.raises(DeviceError, match=r"cpu\(\)"):
        there.numpy()
    with pytest.raises(DeviceError):
        np.asarray(there)
    assert "device='cuda:0'" in repr(there)


def test_unknown_devices_are_refused():
    for name in ("cuda:x", "gpu", "tpu:0"):
        with pytest.raises((DeviceError, minidl.errors.DTypeError)):
            noise(2).to(name)
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES=7"):
        noise(2).to("cuda:7")


def test_an_index_outside_the_table_gives_nan():
    table, indices = minidl.arange(6.0, device="cuda").reshape(3, 2), minidl.tensor([2, 3, -1], device="cuda")
    rows = nn.functional.embedding(indices, table).cpu().numpy()
    np.testing.assert_array_equal(rows, [[4, 5], [np.nan] * 2, [np.nan] * 2])


def test_writing_elements():
    x = minidl.zeros(2, 3, device="cuda")
    x[0] = [1, 2, 3]
    x[1, 1:] = minidl.tensor([4.0, 5.0], device="cuda")
    x[x == 5] = -1
    assert x.tolist() == [[1, 2, 3], [0, 4, -1]]
    for target, value in ((x, minidl.ones(3)), (x, np.ones(3)), (minidl.ones(3), x[0])):
        with pytest.raises(DeviceError, match="cuda:0"):
            target[...] = value


def test_foreign_byte_order_is_turned_round():
    x = minidl.Tensor(np.arange(3, dtype=">f4")).to("cuda")
    assert x.dtype.isnative and x.tolist() == [0, 1, 2]


def test_dlpack_shares_memory(cupy):
    array = cupy.asarray(np.arange(3.0))
    x = minidl.Tensor(array)
    x[0] = 7
    assert x.device == "cuda:0" and float(array[0]) == 7
    assert x.__dlpack_device__()[0] == 2


def test_memory_and_waiting():
    assert minidl.cuda.is_available() and minidl.cuda.why_not() == ""
    assert set(minidl.cuda.memory_stats()) == {"bytes_in_use", "bytes_held"}
    minidl.cuda.empty_cache()
    minidl.cuda.synchronize()


def test_transfers_follow_each_other_through_few_buffers():
    sizes = (5, 3, 100, 7, 2000, 1, 0)
    arrays = [np.random.default_rng(n).normal(size=(n, 2)).astype(np.float32) for n in sizes]
    sent = [minidl.Tensor(array).to("cuda") for array in arrays]
    arrays_back = [x.cpu().numpy() for x in sent]
    for array, back in zip(arrays, arrays_back, strict=True):
        np.testing.assert_array_equal(back, array)


def test_what_is_larger_than_any_batch_needs_no_buffers(monkeypatch):
    monkeypatch.setattr(transfer, "_LARGEST", 16)
    sent = minidl.arange(5, device="cuda")
    assert sent.tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr(transfer, "_sender", None)
    minidl.arange(5, device="cuda")


def test_new_room_is_filled_after_the_work_that_had_it_before(cupy, emulated, monkeypatch):
    """The pool gives a buffer memory that queued kernels may still read: the copy stream must wait for them."""
    log = []
    monkeypatch.setattr(emulated.Event, "record", lambda self, stream=None: log.append(("record", self, stream)))
    monkeypatch.setattr(emulated.Stream, "wait_event", lambda self, event: log.append(("wait", event, self)))
    sender = transfer._Sender(cupy)
    for size in (3, 3, 5):  # two buffers, then the first one grows
        log.clear()
        buffer = sender.buffers[0]
        sender.send(np.ones(size))
        assert log[0] == ("record", buffer.copied_out, cupy.cuda.get_current_stream())
        assert log[1] == ("wait", buffer.copied_out, sender.stream)


# Networks

LAYERS = {
    "Linear": (lambda: nn.Linear(6, 4), (3, 6)),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (2, 2, 7, 6)),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3, dilation=2), (2, 2, 9)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), (2, 2, 4, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (4, 3, 2, 5)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), (4, 3)),
    "LayerNorm": (lambda: nn.LayerNorm(5), (4, 5)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, stride=2, padding=1), (2, 2, 7, 6)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2, ceil_mode=True), (2, 2, 5, 5)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (2, 2, 5, 7)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, 3)), (2, 2, 5, 7)),
    "Dropout": (lambda: nn.Dropout(0.4), (5, 7)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 4)),
    "activations": (
        lambda: nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.SiLU(), nn.LeakyReLU(), nn.ELU(),
                              nn.Softplus(), nn.Hardtanh(), nn.LogSoftmax(1), nn.Softmax(1)),
        (4, 5),
    ),
}  # fmt: skip


def run(make, shape, device):
    """Output, gradients and buffers after one pass in each direction."""
    minidl.manual_seed(0)
    layer = make().to(device)
    x = minidl.tensor(noise(*shape).numpy(), device=device, requires_grad=True)
    y = layer(x)
    weights = noise(*y.shape, seed=1).to(device)
    (y * weights).sum().backward()
    assert y.device == ("cpu" if device == "cpu" else "cuda:0")
    tensors = [y.detach(), x.grad, *[p.grad for p in layer.parameters()], *layer.buffers()]
    return [tensor.cpu().numpy() for tensor in tensors]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_the_same(name):
    make, shape = LAYERS[name]
    for ours, theirs in zip(run(make, shape, "cuda"), run(make, shape, "cpu"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def test_the_same_seed_drops_the_same():
    here, there = (run(*LAYERS["Dropout"], device)[0] for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(here == 0, there == 0)
    assert 0 < (here == 0).sum() < here.size


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(36, 3),
    )


def data(count=24):
    return noise(count, 1, 8, 8), minidl.tensor(np.random.default_rng(1).integers(0, 3, count))


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "plain SGD": lambda p: optim.SGD(p, lr=0.1),
    "Adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    "AMSGrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1),
}


def train(device, optimizer, steps=4):
    minidl.manual_seed(0)
    model = small_cnn().to(device)
    stepper = OPTIMIZERS[optimizer](model.parameters())
    x, y = (tensor.to(device) for tensor in data())
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), y)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(loss)
    return model, stepper, [loss.item() for loss in losses]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_follows_the_cpu(optimizer):
    model, _, losses = train("cuda", optimizer)
    reference, _, expected = train("cpu", optimizer)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < losses[0]
    for name, tensor in model.state_dict().items():
        np.testing.assert_allclose(tensor.cpu().numpy(), reference.state_dict()[name].numpy(), rtol=1e-3, atol=1e-4)


def test_the_same_run_gives_the_same_bits():
    first, second = (train("cuda", "Adam")[0].state_dict() for _ in range(2))
    for name, tensor in first.items():
        assert tensor.cpu().numpy().tobytes() == second[name].cpu().numpy().tobytes()


def test_a_step_is_one_launch_of_the_optimizer(emulated):
    emulated.launched.clear()
    train("cuda", "Adam", steps=3)
    assert emulated.launched.count("adam") == 3


def test_a_training_step_never_waits_for_the_device(emulated):
    minidl.manual_seed(0)
    model = small_cnn().to("cuda")
    stepper = optim.Adam(model.parameters(), lr=0.01)
    x, y = (tensor.to("cuda") for tensor in data())
    criterion = nn.CrossEntropyLoss()
    with emulated.no_synchronisation():
        for _ in range(2):
            loss = criterion(model(x), y)
            stepper.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            stepper.step()
    with pytest.raises(emulated.Synchronised), emulated.no_synchronisation():
        loss.item()


# Checkpoints and the trainer


def test_state_crosses_devices(tmp_path):
    model, stepper, _ = train("cuda", "Adam")
    minidl.save(model.state_dict(), tmp_path / "model.safetensors")
    minidl.save(stepper.state_dict(), tmp_path / "optimizer.safetensors")
    here = small_cnn()
    here.load_state_dict(minidl.load(tmp_path / "model.safetensors"))
    assert all(parameter.device == "cpu" for parameter in here.parameters())
    there = small_cnn().to("cuda")
    there.load_state_dict(here.state_dict())
    assert all(parameter.device == "cuda:0" for parameter in there.parameters())
    again = OPTIMIZERS["Adam"](there.parameters())
    again.load_state_dict(minidl.load(tmp_path / "optimizer.safetensors"))
    x, y = data()
    for module, optimizer in ((model, stepper), (there, again)):
        module.eval()
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x.to("cuda")), y.to("cuda")).backward()
        optimizer.step()
    for ours, theirs in zip(there.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach().cpu().numpy(), theirs.detach().cpu().numpy(), rtol=1e-6, atol=1e-7)


def fit(device, epochs, path=None, resume=False):
    minidl.manual_seed(0)
    model = small_cnn().to(device)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader = DataLoader(TensorDataset(*data()), batch_size=8, shuffle=True, seed=5)
    callbacks = [] if path is None else [Checkpoint(path)]
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, [Accuracy()], callbacks, clip_grad_norm=1.0)
    history = trainer.fit(loader, loader, epochs, resume_from=path if resume else None)
    return trainer, history


def test_the_trainer_sends_batches_to_the_model():
    there, here = (fit(device, 3)[1] for device in ("cuda", "cpu"))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert there[name] == pytest.approx(here[name], rel=1e-3)


def test_the_trainer_resumes_on_the_device(tmp_path):
    path = tmp_path / "run.safetensors"
    whole = fit("cuda", 4)[0].model.state_dict()
    fit("cuda", 2, path)
    resumed = fit("cuda", 4, path, resume=True)[0].model.state_dict()
    for name, tensor in whole.items():
        assert tensor.cpu().numpy().tobytes() == resumed[name].cpu().numpy().tobytes()


def test_predictions_come_from_the_device():
    trainer, _ = fit("cuda", 1)
    outputs = trainer.predict(data()[0], batch_size=10)
    assert outputs.device == "cuda:0" and outputs.shape == (24, 3)


def test_gradcheck_on_the_device():
    x = minidl.randn(3, 4, dtype="float64", device="cuda")
    assert minidl.gradcheck(lambda x: minidl.tanh(x) * x, [x], order=2)
    with pytest.raises(minidl.errors.GradcheckError):
        minidl.gradcheck(lambda x: Wrong()(x), [x])


class Wrong(minidl.Op):
    """x², whose gradient is said to be 2.001 x."""

    def forward(self, x):
        self.save(x)
        return x * x

    def backward(self, grad):
        return grad * 2.001 * self.saved[0]


def test_memory_layouts_that_kernels_do_not_take():
    x = noise(4, 6, 5)
    views = [lambda t: t.transpose(0, 1), lambda t: t[::2], lambda t: t[:, 1:4], lambda t: t.flip(0)]
    for view, axis in itertools.product(views, (0, 1, 2)):
        here, there = view(x), view(x.to("cuda"))
        np.testing.assert_allclose(there.softmax(axis).cpu().numpy(), here.softmax(axis).numpy(), rtol=1e-5, atol=1e-6)
