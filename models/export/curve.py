"""Draws a pretraining's metrics as a picture for a model card.

    python curve.py training.jsonl curve.svg
"""

import json
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 320, 48, 36, 16


def polyline(values, low, high, style):
    x = lambda i: LEFT + (WIDTH - LEFT - 8) * i / max(len(values) - 1, 1)
    y = lambda v: TOP + (HEIGHT - TOP - BOTTOM) * (high - min(v, high)) / (high - low)
    points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(values))
    return f'<polyline fill="none" stroke-width="2" {style} points="{points}"/>'


def picture(train, valid):
    low, high = int(min(train + valid)) - 1, int(min(train[2:] + valid[2:])) + 10
    y = lambda v: TOP + (HEIGHT - TOP - BOTTOM) * (high - v) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for v in range(low, high + 1, 2):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v}</text>')
    for epoch in range(10, len(train) + 1, 10):
        x = LEFT + (WIDTH - LEFT - 8) * (epoch - 1) / (len(train) - 1)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{epoch}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">epoch</text>')
    parts.append(polyline(train, low, high, 'stroke="#d95f02" stroke-dasharray="5 3"'))
    parts.append(polyline(valid, low, high, 'stroke="#1b5e9e"'))
    parts.append(f'<text x="{WIDTH - 16}" y="{TOP + 16}" text-anchor="end" fill="#1b5e9e">held out, without dropout</text>')
    parts.append(f'<text x="{WIDTH - 16}" y="{TOP + 34}" text-anchor="end" fill="#d95f02">training, with dropout</text>')
    parts.append(f'<text x="{WIDTH - 16}" y="{TOP + 52}" text-anchor="end">nats per crystal</text></svg>')
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    epochs = [json.loads(line) for line in open(sys.argv[1])]
    text = picture([e["train_nll"] for e in epochs], [e["valid_nll"] for e in epochs])
    open(sys.argv[2], "w").write(text)
