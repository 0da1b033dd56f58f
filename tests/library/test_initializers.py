"""Every initializer: its distribution against the published formula, its exact numbers for one seed, and what it refuses to repeat."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import convpolicy as cp
from convpolicy.frameworks.numpy.stream import NumpyStream

pytestmark = pytest.mark.needs("scipy")

STANDARD_ERRORS = 5  # a correct sample is further off once in two million draws; the seeds are fixed
LEAST_P = 1e-4  # of the Kolmogorov test
ORTHONORMAL = 1e-12  # float64: rows of up to 500 numbers, each dot product off by at most 500 · 2^-53 and a small factor
GOLDEN_LAPACK = 1e-6  # orthogonal goes through LAPACK, whose last bits are its own

# (in, out, kernel, groups), fan_in, fan_out: no two fans near each other, so that no swap passes
SIZES = [
    ((64, 24, 9, 1), 576, 216),
    ((16, 96, 11, 2), 88, 1056),
    ((256, 512, 13, 256), 13, 6656),
]


def initial(sizes, seed=0, **changes):
    """Draw float64 weight and bias of a changed torch policy from the stream that claims no framework."""
    inputs, outputs, kernel, groups = sizes
    policy = cp.policy("torch").evolve(random_stream="numpy", **changes)
    return policy.initial(inputs, outputs, kernel, groups, seed=seed, dtype="float64")


def weights(sizes, init, seed=0):
    """Draw a float64 weight."""
    return initial(sizes, seed, weight_init=init, bias=False)["weight"]


def assert_follows(values, distribution):
    """Mean, standard deviation, range and the cumulative distribution are those of ``distribution``, a frozen scipy one."""
    values = np.ravel(values)
    lowest, highest = distribution.support()
    std, kurtosis = distribution.std(), float(distribution.stats("k")) + 3
    assert lowest <= values.min()
    assert values.max() <= highest
    assert abs(values.mean() - distribution.mean()) <= STANDARD_ERRORS * std / math.sqrt(values.size)
    error_of_variance = std**2 * math.sqrt((kurtosis - 1) / values.size)
    assert abs(values.var() - std**2) <= STANDARD_ERRORS * error_of_variance
    assert stats.kstest(values, distribution.cdf).pvalue >= LEAST_P


def normal(std):
    """N(0, std²)."""
    return stats.norm(0, std)


def uniform(std):
    """The uniform distribution of standard deviation std."""
    return stats.uniform(-math.sqrt(3) * std, 2 * math.sqrt(3) * std)


def truncated(std):
    """The normal distribution cut at two of its own standard deviations, scaled so that std is left."""
    return stats.truncnorm(-2, 2, scale=std / stats.truncnorm(-2, 2).std())


DISTRIBUTIONS = {"normal": normal, "uniform": uniform, "truncated_normal": truncated}
FANS = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}
# the published variance: He et al. (2015) 2/fan_in; Glorot & Bengio (2010) 2/(fan_in + fan_out); LeCun et al. (1998) 1/fan_in
VARIANCES = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "kaiming": lambda fan_in, fan_out: 2 / fan_in,
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}


@pytest.mark.parametrize(("sizes", "fan_in", "fan_out"), SIZES)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("family", VARIANCES)
def test_named_scales(family, distribution, sizes, fan_in, fan_out):
    """He, Xavier and LeCun, under each of their names and distributions, have the published variance for grouped weights too."""
    assert_follows(
        weights(sizes, f"{family}_{distribution}"), DISTRIBUTIONS[distribution](math.sqrt(VARIANCES[family](fan_in, fan_out)))
    )


@pytest.mark.parametrize(("sizes", "fan_in", "fan_out"), SIZES)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("fan", FANS)
@pytest.mark.parametrize("name", ["variance_scaling", "xavier_normal"])
def test_scale_rule_and_distribution_are_separate(name, fan, distribution, sizes, fan_in, fan_out):
    """Any fan, gain and distribution may be set on a scaled initializer: the standard deviation is gain / √fan."""
    init = cp.Choice(name, fan=fan, gain=0.3, distribution=distribution)
    assert_follows(weights(sizes, init), DISTRIBUTIONS[distribution](0.3 / math.sqrt(FANS[fan](fan_in, fan_out))))


@pytest.mark.parametrize(("sizes", "fan_in", "fan_out"), SIZES)
@pytest.mark.parametrize("seed", [0, 1])
def test_default_uniform_is_one_over_the_root_of_fan_in(seed, sizes, fan_in, fan_out):
    """``uniform`` without bounds is U(±√(1/fan_in)) for the weight, and for the bias with the weight's fan_in."""
    bound = math.sqrt(1 / fan_in)
    assert_follows(weights(sizes, "uniform", seed), stats.uniform(-bound, 2 * bound))
    inputs, _, kernel, groups = sizes
    many = initial((inputs, 2048, kernel, groups), seed, weight_init="zeros", bias_init="uniform")["bias"]
    assert_follows(many, stats.uniform(-bound, 2 * bound))


def test_a_bias_is_scaled_by_the_fans_of_its_weight():
    """A scaled initializer on the bias counts the weight's fans, not the bias's own shape."""
    bias = initial((8, 4096, 3, 2), weight_init="zeros", bias_init="lecun_normal")["bias"]
    assert_follows(bias, normal(math.sqrt(1 / 12)))


GIVEN = [
    (cp.Choice("normal"), stats.norm(0, 1)),
    (cp.Choice("normal", mean=-3, std=0.01), stats.norm(-3, 0.01)),
    (cp.Choice("uniform", low=-1, high=5), stats.uniform(-1, 6)),
    (cp.Choice("truncated_normal"), stats.truncnorm(-2, 2)),
    (cp.Choice("truncated_normal", mean=4, std=0.5), stats.truncnorm(-2, 2, 4, 0.5)),
    (cp.Choice("truncated_normal", mean=1, std=2, lower=-0.5, upper=3), stats.truncnorm(-0.5, 3, 1, 2)),
    (cp.Choice("truncated_normal", lower=1, upper=1.5), stats.truncnorm(1, 1.5)),
]


@pytest.mark.parametrize(("init", "distribution"), GIVEN, ids=lambda value: str(value) if isinstance(value, cp.Choice) else "")
def test_given_parameters(init, distribution):
    """Mean, standard deviation and bounds arrive where the distribution has them, whatever the fans are."""
    for sizes, *_ in SIZES[:2]:
        assert_follows(weights(sizes, init), distribution)


@pytest.mark.parametrize(
    "wrong",
    [
        normal(1.05 * math.sqrt(2 / 576)),  # scale off by a twentieth
        normal(math.sqrt(2 / 216)),  # fan_out for fan_in
        normal(math.sqrt(1 / 576)),  # LeCun for He
        uniform(math.sqrt(2 / 576)),  # another distribution of the same variance
        truncated(math.sqrt(2 / 576)),
        stats.norm(0.1 * math.sqrt(2 / 576), math.sqrt(2 / 576)),  # mean off by a tenth
    ],
)
def test_a_neighbouring_law_is_refused(wrong):
    """The check above can fail: He's normal weights pass for no distribution that a slip would give."""
    values = weights(SIZES[0][0], "he_normal")
    assert_follows(values, normal(math.sqrt(2 / 576)))
    with pytest.raises(AssertionError):
        assert_follows(values, wrong)


@pytest.mark.parametrize(
    ("init", "value"), [("zeros", 0.0), ("ones", 1.0), ("constant", 0.0), (cp.Choice("constant", value=-2.5), -2.5), (0.75, 0.75)]
)
def test_constants(init, value):
    """Every element of weight and bias is exactly the constant; a plain number is one."""
    drawn = initial((6, 4, 3, 2), weight_init=init, bias_init=init)
    assert drawn["weight"].tolist() == [[[value] * 3] * 3] * 4
    assert drawn["bias"].tolist() == [value] * 4


@pytest.mark.parametrize("gain", [1.0, 0.25])
@pytest.mark.parametrize("sizes", [(10, 12, 5, 1), (4, 24, 5, 1), (6, 30, 2, 3), (6, 6, 7, 6), (1, 1, 1, 1)])
def test_orthogonal(sizes, gain):
    """Rows of the weight as (out, in/groups · kernel), or columns where there are fewer, are orthonormal times gain."""
    weight = weights(sizes, cp.Choice("orthogonal", gain=gain))
    inputs, outputs, kernel, groups = sizes
    assert weight.shape == (outputs, inputs // groups, kernel)
    rows = weight.reshape(outputs, -1)
    if outputs > rows.shape[1]:
        rows = rows.T
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            assert abs(math.fsum(a * b) - gain**2 * (i == j)) <= ORTHONORMAL


def test_orthogonal_has_no_preferred_sign():
    """Over many seeds the first element is positive about half of the time, as the uniform distribution over rotations has it."""
    positive = sum(weights((3, 3, 1, 1), "orthogonal", seed)[0, 0, 0] > 0 for seed in range(400))
    assert abs(positive - 200) <= STANDARD_ERRORS * math.sqrt(400 / 4)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(4, 4, 1), (4, 4, 2), (4, 4, 4), (4, 6, 2), (6, 4, 2), (2, 5, 1)])
def test_dirac_passes_its_input(inputs, outputs, groups, kernel):
    """Output channel i of a group is exactly input channel i of that group, and zero where the group has no such one."""
    data = np.random.default_rng(5).standard_normal((2, inputs, 9))
    layer = cp.Conv1d(
        inputs, outputs, kernel, padding=(kernel // 2, (kernel - 1) // 2), groups=groups, bias=False, weight_init="dirac",
        dtype="float64",
    )  # fmt: skip
    output = layer(data)
    for channel in range(outputs):
        group, within = divmod(channel, outputs // groups)
        passed = within < inputs // groups
        expected = data[:, group * (inputs // groups) + within] if passed else np.zeros((2, 9))
        assert output[:, channel].tolist() == expected.tolist()


def test_an_array_is_taken_bit_by_bit():
    """Weight and bias given as arrays come out unchanged, in float64 and rounded once to float32; the policy keeps its own copy."""
    draw = np.random.default_rng(8)
    weight, bias = draw.standard_normal((6, 2, 3)), draw.standard_normal(6)
    policy = cp.policy("torch").evolve(random_stream="numpy", weight_init=weight, bias_init=bias)
    expected = weight.copy(), bias.copy()
    weight[:] = bias[:] = 7
    for dtype in ("float64", "float32"):
        drawn = policy.initial(4, 6, 3, 2, dtype=dtype)
        assert (drawn["weight"].dtype, drawn["bias"].dtype) == (dtype, dtype)
        for got, wanted in zip((drawn["weight"], drawn["bias"]), expected):
            assert got.tobytes() == wanted.astype(dtype).tobytes()
        drawn["weight"][:] = 9
    layer = cp.Conv1d(4, 6, 3, groups=2, policy=policy, dtype="float64")
    assert layer.weight.tobytes() == expected[0].tobytes()
    layer.weight[:] = 3  # may be written in place, without reaching the policy
    assert policy.initial(4, 6, 3, 2, dtype="float64")["weight"].tobytes() == expected[0].tobytes()


# seed 0, (in, out, kernel, groups) = (4, 6, 3, 2), float32: the first three and the last two weights, and the first two of the bias
GOLDEN = [
    ("normal", [-1.3578535, 0.8078331, 1.4967436, 0.58943516, -1.305517, -0.67782253, 0.74665725]),
    ("truncated_normal", [-1.3578535, 0.8078331, 1.4967436, 0.58943516, -1.305517, 0.065619536, 0.49143296]),
    (
        cp.Choice("truncated_normal", lower=-1, upper=1),
        [0.8078331, 0.6954632, 0.7287216, -0.07657482, -0.0038415045, 0.065619536, 0.49143296],
    ),
    ("uniform", [0.11182875, -0.18796836, -0.37479356, 0.020701718, -0.15493686, -0.011565381, 0.3180155]),
    ("he_uniform", [0.27392337, -0.46042657, -0.918053, 0.050708644, -0.37951624, -0.028329283, 0.77897567]),
    ("xavier_normal", [-0.39197853, 0.23320132, 0.43207267, 0.17015527, -0.37687027, -0.19567052, 0.2155414]),
    ("lecun_truncated_normal", [-0.63020146, 0.3749282, 0.6946626, 0.27356625, -0.60591125, 0.030455073, 0.22808187]),
    ("orthogonal", [-0.46317625, 0.13814066, 0.6483185, 0.1719702, -0.7467731, -0.33965003, 0.2716028]),
]
DRAWN = ["normal", "truncated_normal", "uniform", "orthogonal"]  # those that are random and take no scale


@pytest.mark.parametrize(("init", "numbers"), GOLDEN, ids=lambda value: "" if isinstance(value, list) else str(value))
def test_golden_numbers(init, numbers):
    """Seed 0 gives these very numbers: a changed stream, order of drawing or distribution is noticed."""
    policy = cp.policy("torch").evolve(
        random_stream="numpy", weight_init=init, bias_init="uniform" if init == "orthogonal" else init
    )
    drawn = policy.initial(4, 6, 3, groups=2, seed=0)
    flat = drawn["weight"].ravel()
    got = np.array([*flat[:3], *flat[-2:], *drawn["bias"][:2]])
    expected = np.array(numbers, dtype="float32")
    if init == "orthogonal":
        assert np.abs(got - expected).max() <= GOLDEN_LAPACK
    else:
        assert got.tolist() == expected.tolist()


def test_every_initializer_is_tested():
    """No initializer is registered that the tables above leave out."""
    scaled = {f"{family}_{distribution}" for family in VARIANCES for distribution in DISTRIBUTIONS}
    ours = {name: part.provider for name, part in cp.initializers().items()}
    assert ours.pop("keras_depthwise_glorot_uniform") == "keras"  # against Keras itself in the tests of its room
    assert set(ours) == {*scaled, *DRAWN, "zeros", "ones", "constant", "dirac", "array", "variance_scaling"}
    assert set(ours.values()) == {"initializers"}


@pytest.mark.parametrize("init", [*DRAWN, "variance_scaling"])
def test_a_seed_repeats_and_another_differs(init):
    """The same seed gives the same bits, another one, also beyond 64 bits, gives unrelated numbers."""
    sizes = (16, 24, 5, 2)
    first = weights(sizes, init, 0).ravel()
    assert weights(sizes, init, np.int64(0)).tobytes() == first.tobytes()
    for seed in (1, 2**32, 2**64, 2**200):
        other = weights(sizes, init, seed).ravel()
        assert not (first == other).any()
        assert abs(np.corrcoef(first, other)[0, 1]) <= STANDARD_ERRORS / math.sqrt(first.size)


def test_a_stream_goes_on():
    """Layers drawn from one stream are each other's continuation: the first is the seed's, the second is not."""
    policy = cp.policy("torch").evolve(random_stream="numpy")
    stream = NumpyStream(3)
    first, second = (policy.initial(2, 3, 4, stream=stream, dtype="float64") for _ in range(2))
    alone = policy.initial(2, 3, 4, seed=3, dtype="float64")
    assert [first[key].tobytes() for key in first] == [alone[key].tobytes() for key in alone]
    numbers = np.concatenate([layer[key].ravel() for layer in (first, second) for key in ("weight", "bias")])
    assert len(set(numbers.tolist())) == numbers.size == 2 * (24 + 3)


def test_float32_is_the_rounded_draw():
    """Both dtypes come of the same draw: float32 is float64 rounded once."""
    for name in ("torch", "mindspore@2.0", "keras", "flax"):
        exact, rounded = (
            cp.policy(name).evolve(bias=True, random_stream="numpy").initial(3, 5, 4, seed=6, dtype=d)
            for d in ("float64", "float32")
        )
        for key, values in exact.items():
            assert rounded[key].dtype == "float32"
            assert rounded[key].tolist() == values.astype("float32").tolist()
