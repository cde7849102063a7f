"""Draws the metrics of a fine-tuning run: share of stable crystals and KL over the steps.

    python3 docs/plot_run.py runs/stability/metrics.jsonl stability.svg
"""

import json
import sys

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 56, 34, 40
BLUE, ORANGE = "#1b5e9e", "#c2570c"
WINDOW = 10  # steps of the running mean


def running_mean(values):
    windows = (values[max(0, i - WINDOW + 1) : i + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def scale(values, step):
    """The end of an axis from 0 that holds the values: a multiple of step."""
    return step * (int(max(values) / step) + 1)


def picture(stable, kl):
    steps, top, most = len(stable), scale(stable, 10), scale(kl, 2)
    x = lambda i: LEFT + (WIDTH - LEFT - RIGHT) * i / max(steps - 1, 1)
    y = lambda share: TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)
    text = lambda px, py, words, more="": f'<text x="{px:.1f}" y="{py:.1f}" {more}>{words}</text>'
    line = lambda points, more: f'<polyline fill="none" {more} points="{" ".join(points)}"/>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for percent in range(0, top + 1, 10):
        height = y(percent / top)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}" stroke="#ddd"/>')
        parts.append(text(LEFT - 6, height + 4, f"{percent} %", f'text-anchor="end" fill="{BLUE}"'))
    for nats in range(0, most + 1, 2):
        parts.append(text(WIDTH - RIGHT + 6, y(nats / most) + 4, nats, f'fill="{ORANGE}"'))
    for step in [1, *range(20, steps + 1, 20)]:
        parts.append(text(x(step - 1), HEIGHT - BOTTOM + 18, step, 'text-anchor="middle"'))
    parts.append(text(WIDTH / 2, HEIGHT - 6, "step", 'text-anchor="middle"'))
    parts += [f'<circle cx="{x(i):.1f}" cy="{y(s / top):.1f}" r="2" fill="{BLUE}" opacity="0.45"/>' for i, s in enumerate(stable)]
    mean = [f"{x(i):.1f},{y(s / top):.1f}" for i, s in enumerate(running_mean(stable))]
    parts.append(line(mean, f'stroke-width="2.5" stroke="{BLUE}"'))
    parts.append(line([f"{x(i):.1f},{y(k / most):.1f}" for i, k in enumerate(kl)], f'stroke-width="1.5" stroke="{ORANGE}" stroke-dasharray="5 3"'))
    parts.append(text(LEFT, 18, f"stable crystals (dots: each step; line: mean of {WINDOW} steps)", f'fill="{BLUE}"'))
    parts.append(text(WIDTH - RIGHT, 18, "KL to the base policy, nats (dashed)", f'text-anchor="end" fill="{ORANGE}"'))
    return "\n".join(parts) + "\n</svg>\n"


if __name__ == "__main__":
    lines = [json.loads(line) for line in open(sys.argv[1])]
    text = picture([100 * line["stable_fraction"] for line in lines], [line["kl"] for line in lines])
    open(sys.argv[2], "w").write(text)
