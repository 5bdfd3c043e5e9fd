"""Distributions as small SVG pictures whose colours are those of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 10, 24
_BINS = 30
_MOST_BARS = 45  # of whole numbers, one each
#: Share of all values, at either end, that the axis need not reach.
_OUTERMOST = 0.005


def histogram(
    title: str, what: str, sets: Mapping[str, np.ndarray], held_out: np.ndarray | None = None
) -> str:
    """A figure with the distributions of a number: one set filled, several as lines.

    Held-out molecules are a dashed line. All are shares of their own molecules. The outermost
    values of all stand in the first and last bar; the caption says how many.
    """
    known = {name: _finite(values) for name, values in sets.items()}
    other = _finite(held_out) if held_out is not None else np.zeros(0)
    pooled = np.concatenate([*known.values(), other])
    if len(np.unique(pooled)) < 2:
        return ""
    edges = bin_edges(pooled)
    counted = {name: _shares(values, edges) for name, values in known.items() if len(values)}
    reference = _shares(other, edges) if len(other) else None
    top = max(
        float(s.max()) for s in (*counted.values(), *([] if reference is None else [reference]))
    )
    parts = [_axis(edges)]
    for k, shares in enumerate(counted.values()):
        style = "bars" if len(counted) == 1 else f"line set{k % 6}"
        parts.append(f'<path class="{style}" d="{_outline(shares, top, len(counted) == 1)}"/>')
    if reference is not None:
        parts.append(f'<path class="held" d="{_outline(reference, top, False)}"/>')
    told = [f"{name}: {_described(values)}" for name, values in known.items()]
    if len(other):
        told.append(f"held-out: {_described(other)}")
    beyond = int(((pooled < edges[0]) | (pooled > edges[-1])).sum())
    note = f" {beyond:,} beyond the axis are in its first and last bar." if beyond else ""
    return (
        f'<figure class="plot"><figcaption><b>{escape(title)}</b> {escape(what)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Distribution of {escape(title)}. {escape("; ".join(told))}">'
        f"{''.join(parts)}</svg>"
        f'<p class="small">{escape("; ".join(told))}.{note}</p></figure>'
    )


def bin_edges(values: np.ndarray) -> np.ndarray:
    """Edges of the bars, shape (n + 1,): one a whole number where all are few whole numbers."""
    if (values == np.round(values)).all() and np.ptp(values) < _MOST_BARS:
        return np.arange(values.min(), values.max() + 2) - 0.5
    low, high = np.quantile(values, [_OUTERMOST, 1 - _OUTERMOST])
    if high == low:
        low, high = values.min(), values.max()
    return np.linspace(low, high, _BINS + 1)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two: 1, 2 or 5 times a power of ten apart."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    while (high - low) / step > most:
        step *= 2 if round(step / 10.0 ** math.floor(math.log10(step))) != 2 else 2.5
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, float)
    return values[np.isfinite(values)]


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts / len(values)


def _described(values: np.ndarray) -> str:
    if not len(values):
        return "no values"
    return f"median {np.median(values):.3g} of {len(values):,}"


def _across(part: float) -> float:
    return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)


def _outline(shares: np.ndarray, top: float, is_closed: bool) -> str:
    """Path of the steps."""
    floor = _HEIGHT - _BOTTOM
    heights = floor - shares / top * (floor - _TOP)
    x = [_across(k / len(shares)) for k in range(len(shares) + 1)]
    steps = "".join(f"V{y:.1f}H{b:.1f}" for y, b in zip(heights, x[1:], strict=True))
    return f"M{x[0]:.1f} {floor}{steps}V{floor}{'Z' if is_closed else ''}"


def _axis(edges: np.ndarray) -> str:
    low, high = float(edges[0]), float(edges[-1])
    floor = _HEIGHT - _BOTTOM
    parts = [f'<path class="axis" d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}"/>']
    for value in ticks(low, high):
        x = _across((value - low) / (high - low))
        label = f"{value:.6g}".replace("-", "−")
        parts.append(
            f'<path class="axis" d="M{x:.1f} {floor}v4"/>'
            f'<text x="{x:.1f}" y="{_HEIGHT - 7}" text-anchor="middle">{label}</text>'
        )
    return "".join(parts)
