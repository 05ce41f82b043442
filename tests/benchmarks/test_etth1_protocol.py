"""Parts, levels and what is refused, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from etth1_protocol import FILE, MONTH, Record, origins, read, running_mean

from tidegate.errors import InputError


def test_series_are_standardised_by_the_training_part(etth1_record: Record) -> None:
    known = etth1_record.values[:, : etth1_record.bounds[0]].double()
    assert etth1_record.values.shape == (7, 3 * MONTH)
    torch.testing.assert_close(known.mean(dim=1), torch.zeros(7, dtype=torch.float64))
    np.testing.assert_allclose(known.numpy().std(axis=1), 1.0, rtol=1e-5)


def test_a_level_knows_nothing_that_comes_later() -> None:
    values = np.random.default_rng(0).normal(size=(60, 2))
    means = running_mean(values, 10)
    np.testing.assert_allclose(means[5], values[:6].mean(axis=0))
    np.testing.assert_allclose(means[40], means[39] + (values[40] - means[39]) / 10)
    changed = values.copy()
    changed[50:] = 9.0
    assert (running_mean(changed, 10)[:50] == means[:50]).all()


def test_a_part_is_forecast_from_every_hour_that_has_its_future_in_it(etth1_record: Record) -> None:
    hours = origins(etth1_record, 2, 96)
    assert len(hours) == MONTH - 96 + 1
    assert int(hours[0]) + 1 == etth1_record.bounds[1]
    assert int(hours[-1]) + 96 == etth1_record.bounds[2] - 1


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no_data"):
        read(tmp_path, (1, 1, 1), 48)
    (tmp_path / FILE).write_text("date,a\n0,1\n")
    with pytest.raises(InputError, match="bad_data"):
        read(tmp_path, (1, 1, 1), 48)
