"""Q as ONNX: what the file holds, and that onnxruntime computes the same with it."""

from __future__ import annotations

import onnx
import pytest
import torch
import torchvision
from closeness import check_alike
from onnx import TensorProto, numpy_helper
from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.export.onnx_file import float_onnx, save_onnx, to_onnx
from adadfq_core.export.onnx_session import open_onnx, open_session, predictor
from adadfq_core.export.runtime_variant import for_runtimes

TYPES = {TensorProto.UINT4: "uint4", TensorProto.UINT8: "uint8", TensorProto.INT8: "int8"}


def _computed(model, x):
    return predictor(open_session(model.SerializeToString(), 1))(x)


def _same(first, second):
    return float((first.argmax(1) == second.argmax(1)).float().mean())


@pytest.mark.parametrize(
    "bits", [3, 8, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (2, 4, 5, 6, 7))]
)
def test_round_trip_of_the_bundled_network(bundled, real, tmp_path, bits):
    quantized, frozen, description = bundled(bits)
    path = tmp_path / "q.onnx"
    save_onnx(frozen, description, path)
    predict, found = open_onnx(path, 1)
    x = real.images[:1000]
    with torch.no_grad():
        expected = quantized(x)
    assert _same(predict(x), expected) >= 0.999
    assert found == description
    # The batch is free.
    torch.testing.assert_close(predict(x[:1]), predict(x[:3])[:1], rtol=1e-3, atol=1e-3)
    _check_weights(onnx.load(str(path)), frozen, bits)


def _check_weights(model, frozen, bits):
    """They are the codes, in the smallest type, and nothing else is left of them."""
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    wanted = "uint4" if bits <= 4 else "uint8"
    for name, _ in frozen.code_bits():
        name = name.removeprefix("graph_module.")
        owner = name.removesuffix(".codes")
        for part in (".codes", ".zero_point"):
            assert TYPES[found[owner + part].data_type] == wanted
        codes = numpy_helper.to_array(found[name]).astype(int)
        own = frozen.graph_module.get_submodule(owner)
        assert (codes == own.codes.numpy()).all() and codes.max() < 2**bits
    floats = [numpy_helper.to_array(t) for t in found.values() if t.data_type == TensorProto.FLOAT]
    # Steps and biases are left.
    assert all(max(values.shape, default=1) == values.size for values in floats)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert max(opset.version for opset in model.opset_import) >= 21


def test_the_file_tells_nothing_of_where_it_was_made(bundled):
    _, frozen, description = bundled(4)
    content = to_onnx(frozen, description).SerializeToString()
    for word in (b".py", b"adadfq_core.export", b"stack_trace"):
        assert word not in content


def test_activations_with_the_same_range_keep_their_names(calibrated):
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU6(),
        nn.Conv2d(4, 4, 3),
        nn.ReLU6(),
        nn.Flatten(),
        nn.Linear(4 * 144, 3),
    )
    for layer in (network[0], network[2]):
        # Far beyond 6: both ranges are [0, 6].
        nn.init.constant_(layer.weight, 5.0)
    quantized, frozen, description, x = calibrated(network, 4)
    model = to_onnx(frozen, description)
    quantizations = [n.input[1] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert len(set(quantizations)) == 2
    torch.testing.assert_close(_computed(model, x), quantized(x).detach(), rtol=1e-3, atol=1e-2)


def test_layers_with_the_same_codes_keep_their_steps_and_types(calibrated):
    network = nn.Sequential(
        nn.Conv2d(3, 3, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(3, 3, 1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3 * 256, 3),
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(3).view(3, 3, 1, 1))
        network[2].weight.copy_(2 * torch.eye(3).view(3, 3, 1, 1))
    for overrides in ("", "2=8"):
        quantized, frozen, description, x = calibrated(network, 4, overrides=overrides)
        computed = _computed(to_onnx(frozen, description), x)
        torch.testing.assert_close(computed, quantized(x).detach(), rtol=1e-3, atol=1e-2)


def test_a_module_that_is_called_twice(calibrated):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.head = nn.Linear(3 * 256, 3)

        def forward(self, x):
            x = torch.relu(self.conv(torch.relu(self.conv(x))))
            return self.head(x.flatten(1))

    torch.manual_seed(0)
    quantized, frozen, description, x = calibrated(Twice(), 4)
    computed = _computed(to_onnx(frozen, description), x)
    torch.testing.assert_close(computed, quantized(x).detach(), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("mobilenet_v3_small", 4),
        *(
            pytest.param(name, bits, marks=pytest.mark.slow)
            for name in ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x1_0")
            for bits in range(2, 9)
            if (name, bits) != ("mobilenet_v3_small", 4)
        ),
    ],
)
def test_round_trip_of_torchvisions(calibrated, random_norms, tmp_path, name, bits):
    torch.manual_seed(0)
    network = random_norms(getattr(torchvision.models, name)(num_classes=5))
    quantized, frozen, description, x = calibrated(network, bits, (3, 64, 64), classes=5)
    path = tmp_path / "q.onnx"
    save_onnx(frozen, description, path)
    predict, _ = open_onnx(path, 1)
    with torch.no_grad():
        expected, plain = quantized(x), frozen(x)
    check_alike(plain, expected)
    check_alike(predict(x), expected)


def test_for_runtimes_keeps_narrow_weights_exactly(bundled, real):
    entry_images = real.images.format
    _, frozen, _ = bundled(4)
    runtime = for_runtimes(frozen, entry_images, real.images[:64])
    for (name, own), (other_name, other) in zip(frozen.weights(), runtime.weights(), strict=True):
        assert name == other_name and other.codes.dtype == torch.int8
        assert int(other.zero_point.abs().max()) == 0
        torch.testing.assert_close(other(), own(), rtol=0, atol=0)


def test_for_runtimes_rounds_wide_weights_by_half_a_step(bundled, real):
    _, frozen, _ = bundled(8)
    runtime = for_runtimes(frozen, real.images.format, real.images[:64])
    for (_, own), (_, other) in zip(frozen.weights(), runtime.weights(), strict=True):
        shape = (-1, *[1] * (own.codes.ndim - 1))
        assert bool(((other() - own()).abs() <= 0.5001 * other.step.view(shape)).all())
        assert int(other.codes.min()) >= -127


def test_for_runtimes_is_computed_with_integers_between_codes(bundled, real, tmp_path):
    quantized, frozen, description = bundled(4)
    runtime = for_runtimes(frozen, real.images.format, real.images[:64])
    path = tmp_path / "r.onnx"
    save_onnx(runtime, description.model_copy(update={"variant": "runtime"}), path)
    x = real.images[:1000]
    predict, found = open_onnx(path, 1)
    with torch.no_grad():
        top1 = (quantized(x).argmax(1) == real.labels[:1000]).float().mean()
    assert found.variant == "runtime"
    # 8-bit activations in place of 4-bit ones can only be worse by chance.
    assert float((predict(x).argmax(1) == real.labels[:1000]).float().mean()) >= float(top1) - 0.01
    # Every convolution stands between codes.
    model = onnx.load(str(path))
    makers = {output: node for node in model.graph.node for output in node.output}
    readers = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        assert makers[node.input[0]].op_type == "DequantizeLinear"
        behind = readers[node.output[0]]
        if behind[0].op_type in ("Relu", "Clip"):
            behind = readers[behind[0].output[0]]
        assert [reader.op_type for reader in behind] == ["QuantizeLinear"]


def test_the_float_network_as_onnx(bundled, real):
    from adadfq_core.zoo.registry import find

    network = find("fashion-resnet20").load()
    x = real.images[:20]
    with torch.no_grad():
        expected = network(x)
    computed = _computed(float_onnx(network, (1, 28, 28)), x)
    torch.testing.assert_close(computed, expected, rtol=1e-3, atol=1e-3)


def test_files_that_are_no_models_are_refused(bundled, tmp_path):
    _, frozen, description = bundled(4)
    path = tmp_path / "q.onnx"
    save_onnx(frozen, description, path)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError) as refused:
            open_onnx(path, 1)
        assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    model = onnx.load_from_string(whole)
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="was not exported by this program"):
        open_onnx(path, 1)
