"""Tables are checked on the way out and on the way in."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from robustlaws.storage import tables

ROW = {
    "run": "wrn-10-1/edm-3/512/1", "model": "wrn-10-1", "dataset": "edm-3", "size": 512, "seed": 1, "generator": "edm",
    "steps": 3, "fid": 5.5, "real_fraction": 0, "depth": 10, "width": 1, "params": 77562, "forward_flops": 1_600_000,
    "images": 512, "flops": 2.2e10, "clean_loss": 0.5, "clean_acc": 0.9, "adv_loss": 1.5, "adv_acc": 0.4,
    "test_images": 300,
}  # fmt: skip


def test_a_table_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "runs.parquet"
    tables.write(path, [ROW, ROW | {"fid": None, "autoattack_acc": 0.25, "autoattack_images": 100}], tables.RUNS)
    back = tables.read(path, tables.RUNS)
    assert list(back.columns) == list(tables.RUNS)
    assert back["fid"].isna().tolist() == [False, True]
    assert back["autoattack_images"].tolist()[1] == 100
    assert pq.read_schema(path).field("flops").metadata[b"unit"] == b"FLOPs"


def test_tables_accept_foreign_runs_without_unneeded_columns(tmp_path):
    path = tmp_path / "runs.parquet"
    kept = {
        name: ROW[name] for name in ("run", "model", "dataset", "size", "seed", "real_fraction", "params", "images")
    }
    tables.write(path, [kept | {"flops": 2.2e10, "adv_loss": 1.5}], tables.RUNS)
    assert tables.read(path, tables.RUNS)["adv_acc"].isna().all()


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in "ab":
        tables.write(tmp_path / name, [ROW], tables.RUNS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({k: v for k, v in ROW.items() if k != "params"}, "column 'params' is missing"),
        (ROW | {"advloss": 1}, "unknown column 'advloss'"),
        (ROW | {"adv_loss": -1}, "column adv_loss: -1 is not within"),
        (ROW | {"adv_acc": 67.0}, "column adv_acc: 67 is not within"),
        (ROW | {"flops": float("nan")}, "column flops: 1 empty values"),
        (ROW | {"flops": float("inf")}, "column flops: inf is not within"),
        (ROW | {"params": "many"}, "column params: not int64"),
    ],
)
def test_a_wrong_row_is_refused_and_nothing_written(tmp_path, row, says):
    path = tmp_path / "runs.parquet"
    with pytest.raises(ValueError, match="runs.parquet") as caught:
        tables.write(path, [row], tables.RUNS)
    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "runs.parquet"
    path.write_text("model,loss\n")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        tables.read(path, tables.RUNS)
    pd.DataFrame({"model": ["x"]}).to_parquet(path)
    with pytest.raises(ValueError, match="column 'run' is missing"):
        tables.read(path, tables.RUNS)
