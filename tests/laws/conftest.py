import pytest

from passes import PARTS, PARTS_OF_PARITY, Passes


@pytest.fixture(scope="session")
def parts(request):
    """What of a case is compiled: all that the laws compare, or what parity does where it is the one law that was asked for."""
    laws = {item.path.name for item in request.session.items if "passes" in getattr(item, "fixturenames", ())}
    return PARTS_OF_PARITY if laws == {"test_parity.py"} else PARTS


@pytest.fixture(scope="session")
def passes(case, parts):
    return Passes(case, parts)
