"""The Market-1501 protocol written out in loops, to hold the evaluator against."""

import numpy as np


def naive(distances, query_pid, query_camera, gallery_pid, gallery_camera):
    """(ap, trapezoid ap, inp, first rank) of each query that has a match."""
    scores = []
    for i, row in enumerate(distances):
        rank, found, ap, trapezoid, first, last = 0, 0, 0.0, 0.0, 0, 0
        for j in sorted(range(len(row)), key=lambda j: row[j]):  # sorted is stable
            person = gallery_pid[j]
            if person == -1 or (person == query_pid[i] != 0 and gallery_camera[j] == query_camera[i]):
                continue
            rank += 1
            if person == query_pid[i] != 0:
                before = 1.0 if rank == 1 else found / (rank - 1)
                found += 1
                ap += found / rank
                trapezoid += (found / rank + before) / 2
                first, last = first or rank, rank
        if found:
            scores.append((ap / found, trapezoid / found, found / last, first))
    return scores


def assert_agrees(scores, distances, query_pid, query_camera, gallery_pid, gallery_camera):
    """Scores are the means of the loops'."""
    expected = np.array(naive(distances, query_pid, query_camera, gallery_pid, gallery_camera))
    means = [scores.mean_ap, scores.mean_ap_trapezoid, scores.mean_inp]
    np.testing.assert_allclose(means, expected[:, :3].mean(0), rtol=1e-12)
    first = expected[:, 3]
    assert scores.cmc == tuple(float((first <= r).sum() / len(distances)) for r in range(1, 51))
    assert (scores.queries, scores.valid) == (len(distances), len(expected))


def labels(rng, q, g, people=4, cameras=3):
    """Random query and gallery labels, junk and distractors in the gallery, at least one valid query."""
    made = [rng.integers(1, people, q), rng.integers(1, cameras, q), rng.integers(-1, people, g)]
    made.append(rng.integers(1, cameras, g))
    made[2][-1], made[3][-1] = made[0][0], made[1][0] + 1
    return made


def unit_rows(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)
