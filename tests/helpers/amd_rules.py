"""What a fast layer takes on AMD processors, as measured: sizes, options, length, threads, name of the lowering."""

from __future__ import annotations

ON_AMD = {  # sizes, options, length, threads -> lowering of a fast layer on an AMD EPYC; where it was slower, torch's own
    "768 to 384, 1.24": ((768, 384, 1), {}, 1302, 2, "native"),
    "192 to 192, 1.07": ((192, 192, 1), {}, 1500, 2, "native"),
    "few weights": ((64, 64, 1), {}, 600, 2, "matmul"),
    "64 to 128, stride 4, 1.2 to 1.5": ((64, 128, 8, 4), {}, 600, 2, "native"),
    "256 to 512, stride 4, 1.2 to 1.5": ((256, 512, 8, 4), {}, 600, 2, "native"),
    "depthwise 31": ((64, 64, 31), {"padding": 15, "groups": 64}, 200, 2, "pad_first"),
    "dilated and small": ((16, 16, 3), {"padding": 3, "dilation": 3}, 200, 2, "windows"),
    "strided depthwise": ((512, 512, 5, 4), {"padding": "same_upper", "groups": 512}, 3000, 2, "overpad"),
    "4 outputs": ((512, 512, 7), {}, 10, 1, "linear"),
    "16 outputs, 1.04": ((512, 512, 7), {}, 22, 1, "native"),
}


ON_AMD_512 = {  # the same, on an AMD EPYC with AVX-512 only
    "grouped 64": ((64, 64, 64), {"padding": 32, "groups": 4}, 600, 2, "channels_last"),
    "few weights, 1.07": ((64, 64, 1), {}, 600, 1, "native"),
    "192 to 192, 1.08": ((192, 192, 1), {}, 100, 2, "native"),
    "512 to 512, 1.05": ((512, 512, 1), {}, 600, 2, "native"),
    "16 does not divide": ((64, 64, 5), {}, 22, 2, "linear"),
    "one item": ((512, 512, 1), {}, 100, 2, "matmul"),
    "one item, one thread": ((512, 512, 1), {}, 100, 1, "native"),
    "stride 4, many weights": ((384, 768, 8, 4), {}, 100, 2, "linear"),
    "stride 4, fewer weights, 1.24": ((128, 256, 8, 4), {}, 100, 2, "native"),
    "stride 8, more outputs": ((512, 1024, 16, 8), {}, 600, 2, "windows"),
    "stride 5, more outputs, 1.13": ((512, 1024, 10, 5), {}, 600, 2, "native"),
    "one output channel": ((64, 1, 7), {}, 600, 2, "windows"),
    "one output channel, more inputs, 1.3": ((32, 1, 7), {}, 24000, 2, "native"),
    "reflected depthwise": ((512, 512, 3), {"padding": 1, "padding_mode": "reflect", "groups": 512}, 3000, 2, "edges"),
}
ON_AMD_AVX2 = {  # the same, on an AMD EPYC with AVX2 only
    "short": ((512, 512, 1), {}, 600, 1, "matmul"),
    "short, many weights, 1.08": ((1280, 2560, 1), {}, 600, 2, "native"),
    "longer, 1.38": ((256, 512, 1), {}, 3000, 2, "native"),
    "one output channel": ((16, 1, 7), {"padding": 3}, 3000, 2, "windows"),
    "one output channel, larger windows, 1.33": ((96, 1, 7), {"padding": 3}, 3000, 2, "native"),
    "one output channel, one thread, 1.25": ((16, 1, 7), {"padding": 3}, 3000, 1, "native"),
    "one output channel, fewer outputs, 1.19": ((32, 1, 7), {"padding": 3}, 600, 2, "native"),
    "grouped pointwise": ((64, 64, 1), {"groups": 4}, 100, 2, "windows"),
    "grouped pointwise, one thread, 1.11": ((64, 64, 1), {"groups": 4}, 100, 1, "native"),
    "grouped 2, 1.41": ((64, 64, 2), {"groups": 4}, 600, 2, "native"),
    "depthwise, pads of 6": ((64, 64, 7), {"padding": 6, "groups": 64}, 100, 2, "pad_first"),
    "depthwise, pads of 4, 1.7": ((64, 64, 9), {"padding": 4, "groups": 64}, 3000, 2, "native"),
    "grouped 64": ((64, 64, 64), {"groups": 4}, 700, 2, "channels_last"),
    "grouped 64, padded": ((64, 64, 64), {"padding": 32, "groups": 4}, 600, 2, "pad_first"),
    "grouped 19": ((64, 64, 19), {"padding": 9, "groups": 4}, 100, 2, "pad_first"),
    "pads of 9": ((64, 64, 7), {"padding": 9, "dilation": 3}, 600, 2, "pad_first"),
    "pads of 27, fewer outputs, 1.37": ((512, 512, 7), {"padding": 27, "dilation": 9}, 100, 2, "native"),
    "pads of 3": ((64, 64, 7), {"padding": 3}, 600, 2, "native"),
    "stride 8, pads of 4": ((64, 64, 16, 8), {"padding": 4}, 3000, 2, "pad_first"),
    "stride 8, pads of 4, fewer outputs, 1.15": ((64, 64, 16, 8), {"padding": 4}, 600, 2, "native"),
    "equal at this length": ((64, 128, 4, 2), {"padding": "same_upper"}, 600, 2, "native"),
    "equal at this length, stride 4, 1.18": ((64, 128, 8, 4), {"padding": "same_upper"}, 6000, 2, "pad_first"),
    "unequal zeros, stride 2": ((256, 256, 3, 2), {"padding": "same_upper"}, 600, 2, "overpad"),
    "unequal zeros, stride 2, one thread, 1.04": ((80, 512, 3, 2), {"padding": "same_upper"}, 3000, 1, "pad_first"),
    "reflected depthwise": ((512, 512, 3), {"padding": 1, "padding_mode": "reflect", "groups": 512}, 3000, 2, "edges"),
    "reflected depthwise, shorter": (
        (512, 512, 5),
        {"padding": 2, "padding_mode": "reflect", "groups": 512},
        600,
        2,
        "concatenate",
    ),
    "long reflection": ((64, 32, 7), {"padding": 3, "padding_mode": "reflect"}, 24000, 2, "edges"),
    "long reflection, pads of 9, 1.5": (
        (32, 32, 3),
        {"padding": 9, "dilation": 9, "padding_mode": "reflect"},
        24000,
        2,
        "concatenate",
    ),
}
ONLY = {"AVX512": ON_AMD_512, "AVX2": ON_AMD_AVX2}  # instructions -> cases of these processors only
