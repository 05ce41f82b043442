from __future__ import annotations

from pathlib import Path

from tidegate.data import movielens


def test_ratings_keep_the_order_of_the_file(tmp_path: Path) -> None:
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    lines = "196\t242\t3\t881250949\n22\t007\t4.5\t878887116\n196\t1\t3\t881250949\n"
    (tmp_path / "ml-100k.inter").write_text(header + lines)
    found = movielens.events(tmp_path)
    assert found.rows() == [
        ("196", "242", 3.0, 881250949.0),
        ("22", "007", 4.5, 878887116.0),
        ("196", "1", 3.0, 881250949.0),
    ]
    assert found.columns == ["user", "film", "stars", "time"]
