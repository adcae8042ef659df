"""Make docs/first_flow.gif, the moving picture of README.md, from lesson 00's first explorable.

python docs/moving_picture.py
"""

import io
from pathlib import Path

from PIL import Image

from node_tutorial import explore

FILE = Path(__file__).with_name("first_flow.gif")
MILLISECONDS = 80
LAST = 2500  # milliseconds; the picture in which the letters stand
COLORS = 64  # as many as its lines and their soft edges need


def frames() -> list[Image.Image]:
    """The explorable at each of its times, all with one palette."""
    panel = explore.first_flow()
    numbers = range(panel.controls["frame"].max + 1)
    pictures = [Image.open(io.BytesIO(panel.evaluate(frame=n).png)).convert("RGB") for n in numbers]
    palette = pictures[-1].quantize(COLORS)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]


def main() -> None:
    first, *others = frames()
    times = [MILLISECONDS] * len(others) + [LAST]
    first.save(FILE, save_all=True, append_images=others, duration=times, loop=0, optimize=True)
    print(f"{FILE}: {len(times)} pictures, {FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
