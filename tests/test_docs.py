"""Pages made from the code are those that the code makes now."""

from benchmarks import learners_page, performance_page, report


def test_the_page_of_learners_is_up_to_date() -> None:
    assert learners_page.PAGE.read_text() == learners_page.page()


def test_the_page_of_results_is_up_to_date() -> None:
    assert report.PAGE.read_text() == report.page()
    assert report.CURVES.read_text() == report.suggest_curves()


def test_the_page_of_performance_is_up_to_date() -> None:
    assert performance_page.PAGE.read_text() == performance_page.page()
