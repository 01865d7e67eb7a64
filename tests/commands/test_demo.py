"""The demo, shortened to one epoch."""

from shapmix.commands import cli


def test_demo_ends_with_tables_and_a_report_and_goes_on_where_it_was(tmp_path, capsys):
    folder = tmp_path / "[demo]"  # which rich would take for markup
    words = ["demo", "--out", str(folder), "--epochs", "1", "--clips-per-class", "20"]
    assert cli.main(words) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Top-1" in text
    assert "of 20 classes the part with the largest exact Shapley value" in text
    page = folder / "report.html"
    assert f"page to open: {page}" in text
    content = page.read_text(encoding="utf-8")
    assert "<h1>cross-entropy, balanced-softmax and shap-mix</h1>" in content
    for section in ("overview", "classes", "confusion", "saliency", "mixes", "data"):
        assert f'<section id="{section}"' in content
    trained = (folder / "shap-mix" / "metrics.json").stat().st_mtime_ns
    assert cli.main(words) == 0
    assert (folder / "shap-mix" / "metrics.json").stat().st_mtime_ns == trained
    assert cli.main([*words[:-3], "2", *words[-2:]]) == 1
    assert "epochs was 1 and is now 2" in capsys.readouterr().err
