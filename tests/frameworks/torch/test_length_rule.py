"""Rules of plugins that divide a negative number of samples: what torch exports has the layer's values, in ONNX too, which truncates."""

from __future__ import annotations

import onnxruntime
import pytest
import torch

import convpolicy as cp

pytestmark = [pytest.mark.needs("onnx", "onnxruntime", "onnxscript"), pytest.mark.filterwarnings("ignore")]


def rounded_down(kernel, stride, dilation, length):
    """Quotients of negative numbers, of which the right one is negative at every length."""
    return (25 - length) // 4 + 8, 9 - length // -3 + (9 - length * 2) // 3


def rounded_up(kernel, stride, dilation, length):
    """The usual way to round up, quotient and rest at once, and a number divided by the length."""
    quotient, rest = divmod(7 - length, 5)
    return -(-length // 4) + quotient, rest + (length - 30) // length


def remainder(kernel, stride, dilation, length):
    """No negative quotient."""
    return -length % 4, length // 2 % 3


RULES = {"rounded_down": rounded_down, "rounded_up": rounded_up, "remainder": remainder}


class Dividing:
    """A plugin with these rules, for convolutions and for transposed ones."""

    @staticmethod
    @cp.hookimpl
    def convpolicy_padding_rules():
        """Return the padding rules."""
        return [cp.PaddingRule(name, rule, needs_length=True) for name, rule in RULES.items()]

    @staticmethod
    @cp.hookimpl
    def convpolicy_crop_rules():
        """Return the crop rules."""
        return [cp.CropRule(name, rule, needs_length=True) for name, rule in RULES.items()]


@pytest.fixture(autouse=True, scope="module")
def dividing():
    """Register the plugin."""
    cp.register(Dividing, "dividing")
    yield
    cp.unregister("dividing")


def built(kind, rule):
    """A seeded layer of 4 → 6 channels, kernel 9, stride 2."""
    return getattr(cp, kind)(4, 6, 9, 2, rule, backend="torch", seed=0).eval()


def random(length):
    """Random input."""
    return torch.randn(2, 4, length, generator=torch.Generator().manual_seed(length))


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["Conv1d", "ConvTranspose1d"])
def test_exported_to_onnx(kind, rule):
    """The program has the layer's bits at every length, and ONNX Runtime its values within rounding."""
    layer = built(kind, rule)
    program = torch.export.export(layer, (random(41),), dynamic_shapes=({2: torch.export.Dim.DYNAMIC},))
    model = torch.onnx.export(program, dynamo=True, verbose=False).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for length in range(15, 60):
        expected = layer(random(length)).detach()
        assert torch.equal(program.module()(random(length)), expected), length
        (output,) = session.run(None, {session.get_inputs()[0].name: random(length).numpy()})
        torch.testing.assert_close(torch.from_numpy(output), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["Conv1d", "ConvTranspose1d"])
def test_strict_export(kind):
    """With strict=True, torch cannot write other quotients, so a rule that divides a negative number is refused, and no other."""
    shapes = ({2: torch.export.Dim.DYNAMIC},)
    for rule in ("rounded_down", "rounded_up"):
        with pytest.raises(Exception, match=rf"strict must be False in torch\.export\.export for padding '{rule}'"):
            torch.export.export(built(kind, rule), (random(41),), dynamic_shapes=shapes, strict=True)
    for rule in ("remainder", *(["same_upper"] if kind == "Conv1d" else [])):
        layer = built(kind, rule)
        program = torch.export.export(layer, (random(41),), dynamic_shapes=shapes, strict=True).module()
        assert all(torch.equal(program(random(length)), layer(random(length))) for length in range(15, 30))


@pytest.mark.parametrize("kind", ["Conv1d", "ConvTranspose1d"])
def test_compiled(kind):
    """torch.compile rounds down itself and refuses nothing: one graph, the layer's bits."""
    layer = built(kind, "rounded_down")
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="eager")
    assert all(torch.equal(compiled(random(length)), layer(random(length))) for length in range(15, 40))
    torch.compiler.reset()
