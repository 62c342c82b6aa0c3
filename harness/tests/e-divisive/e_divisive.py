"""Thirty synthetic histories, and where E-divisive finds that they change.

Written from Matteson & James (JASA 109, 2014), section 3, for one dimension and alpha = 1, apart from the Rust in
`harness/src/analysis/changes.rs`: sums over blocks of the matrix of distances, checked against the definition, another
generator of permutations, and twice as many of them. As R's `ecp::e.divisive(X, sig.lvl = 0.05, min.size = 2, alpha = 1)`.

    pip install numpy==2.4.6 && python3 harness/tests/e-divisive/e_divisive.py > harness/tests/e-divisive/histories.json

A history is left out if a decision about it hangs on the draw of the permutations (`UNSURE`): how many
were is said on standard error.
"""

import json
import sys

import numpy as np

LEAST, PERMUTATIONS, SIGNIFICANCE = 2, 999, 0.05
# Decisions whose p-value lies between these hang on the draw.
UNSURE = (0.025, 0.09)


def q(x, y):
    """The scaled energy statistic of two samples: equations (5) and (6)."""
    n, m = len(x), len(y)
    across = np.abs(x[:, None] - y[None, :]).mean()
    within = lambda z: np.abs(z[:, None] - z[None, :])[np.triu_indices(len(z), 1)].mean()
    return n * m / (n + m) * (2 * across - within(x) - within(y))


def best(z):
    """The largest statistic over all tau and kappa, from all distances: (statistic, tau)."""
    n = len(z)
    if n < 2 * LEAST:
        return -np.inf, None
    d = np.abs(z[:, None] - z[None, :])
    found = (-np.inf, None)
    # Sums over d[:a, :b], so that any block of distances is four looks.
    s = np.zeros((n + 1, n + 1))
    s[1:, 1:] = d.cumsum(0).cumsum(1)
    for tau in range(LEAST, n - LEAST + 1):
        k = np.arange(tau + LEAST, n + 1)
        m = k - tau
        across = (s[tau, k] - s[tau, tau]) / (tau * m)
        x = s[tau, tau] / (tau * (tau - 1))
        y = (s[k, k] - s[tau, k] - s[k, tau] + s[tau, tau]) / (m * (m - 1))
        value = tau * m / (tau + m) * (2 * across - x - y)
        i = int(value.argmax())
        if value[i] > found[0]:
            found = (float(value[i]), tau)
    return found


def e_divisive(z, random):
    """Change points (0-based, first night of the new level), the first split, and all p-values."""
    borders, first, chances = [0, len(z)], None, []
    while True:
        split = max((best(z[a:b]) + (a,) for a, b in zip(borders, borders[1:])), key=lambda it: it[0])
        if first is None:
            first = split
        if not split[0] > 0:
            break
        as_large = 0
        for _ in range(PERMUTATIONS):
            mixed = np.concatenate([random.permutation(z[a:b]) for a, b in zip(borders, borders[1:])])
            as_large += max(best(mixed[a:b])[0] for a, b in zip(borders, borders[1:])) >= split[0]
            if as_large > UNSURE[1] * (PERMUTATIONS + 1):
                break
        # At least so much, where it was broken off.
        chances.append((as_large + 1) / (PERMUTATIONS + 1))
        if chances[-1] > SIGNIFICANCE:
            break
        borders = sorted(borders + [split[1] + split[2]])
    return borders[1:-1], first, chances


def history(kind, random):
    """Seconds, night by night."""
    def level(seconds, nights, noise=0.007):
        return seconds * np.exp(noise * random.standard_normal(nights))

    of = lambda low, high: int(random.integers(low, high + 1))
    if kind == "quiet":
        return level(36, of(12, 60))
    if kind == "step":
        return np.concatenate([level(36, of(8, 30)), level(36 * random.choice([0.9, 1.05, 1.1, 1.2]), of(4, 25))])
    if kind == "there and back":
        return np.concatenate([level(36, of(8, 15)), level(36 * random.choice([0.85, 1.15]), of(5, 12)), level(36, of(8, 15))])
    if kind == "stairs":
        return np.concatenate([level(36 * 1.08**i, of(6, 14)) for i in range(4)])
    if kind == "each fifth slower":
        z = np.concatenate([level(36, of(15, 25)), level(36 * random.choice([1, 1.25]), of(15, 25))])
        z[:: 5] *= 1.12
        return z
    if kind == "a spike":
        z = np.concatenate([level(36, of(10, 25)), level(36 * random.choice([1, 1.1]), of(8, 20))])
        z[of(3, len(z) - 4)] *= 10
        return z
    raise ValueError(kind)


def main():
    # The statistic by blocks is the statistic by its definition.
    check = np.random.default_rng(0).standard_normal(9)
    by_definition = max(q(check[:t], check[t:k]) for t in range(2, 8) for k in range(t + 2, 10))
    assert abs(best(check)[0] - by_definition) < 1e-12

    kinds = ["quiet", "step", "there and back", "stairs", "each fifth slower", "a spike"]
    histories, left_out = [], 0
    for kind in kinds:
        taken = number = 0
        while taken < 5:
            random = np.random.default_rng([kinds.index(kind), number])
            number += 1
            z = np.round(np.log(history(kind, random)), 12)
            found, first, chances = e_divisive(z, random)
            if any(UNSURE[0] < chance < UNSURE[1] for chance in chances):
                left_out += 1
                continue
            taken += 1
            histories.append({
                "name": f"{kind} {number}",
                "values": z.tolist(),
                "first": [first[1], first[0]],
                "changes": found,
                "chances": chances,
            })
    print(f"{left_out} left out", file=sys.stderr)
    lines = ",\n".join(json.dumps(it) for it in histories)
    print(f"[\n{lines}\n]")


main()
