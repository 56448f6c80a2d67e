"""Linear algebra on one thread, and on as many as before afterwards."""

from threading import Barrier, Thread

import pytest

from atomfit.support.blas import _libraries, blas_threads, one_blas_thread


@pytest.fixture
def two_threads():
    before = blas_threads()
    if not before:
        pytest.skip("numpy and scipy have no OpenBLAS here")
    for _, change in _libraries():
        change(2)
    if blas_threads() != [2] * len(before):
        pytest.skip("OpenBLAS was built without threads")
    yield
    for (_, change), threads in zip(_libraries(), before, strict=True):
        change(threads)


def test_inside_there_is_one_thread_and_outside_what_was(two_threads: None) -> None:
    with one_blas_thread():
        assert set(blas_threads()) == {1}
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            _ = 1 / 0
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}


def test_the_last_that_leaves_sets_it_back(two_threads: None) -> None:
    """The first one in leaves first."""
    inside, left = Barrier(2), Barrier(2)

    def first() -> None:
        with one_blas_thread():
            inside.wait()
        left.wait()

    other = Thread(target=first)
    with one_blas_thread():
        other.start()
        # It comes in while this context is open, and leaves while it is.
        inside.wait()
        left.wait()
        other.join()
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}
