"""Print docs/static/front.svg, the picture of README.md: two plans with equal shapes whose windows read other samples.

python docs/make_front.py > docs/static/front.svg
"""

from __future__ import annotations

from convpolicy.cli.policies import policy_of
from convpolicy.pictures.windows import picture

POLICIES = ("torch:padding=1", "keras:same")
SIZES = {"kernel_size": 3, "stride": 2, "length": 10}
# a picture in a file does not inherit the colour of the page
STYLE = "<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"


def front() -> str:
    """Return the picture with its own colours."""
    head, end, body = picture({name: policy_of(name).plan(**SIZES) for name in POLICIES}).partition("</desc>")
    return head + end + STYLE + body


if __name__ == "__main__":
    print(front())
