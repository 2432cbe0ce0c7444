import pickle

from craft.errors import Problem, list_problems


def test_a_problem_says_where_what_and_remedy():
    assert str(Problem("is wrong", "fix it")) == "is wrong; fix it"
    assert str(Problem("is wrong", "fix it").at("gt.txt:7")) == "gt.txt:7: is wrong; fix it"
    assert str(Problem("is wrong")) == "is wrong"


def test_a_location_is_not_replaced():
    assert Problem("is wrong", "fix it", where="gt.txt:7").at("gt.txt").where == "gt.txt:7"


def test_a_problem_survives_the_way_to_another_process():
    problem = pickle.loads(pickle.dumps(Problem("is odd", "look at it", where="folder", fatal=False)))

    assert (problem.where, problem.what, problem.remedy, problem.fatal) == ("folder", "is odd", "look at it", False)


def test_ten_problems_are_listed_and_the_others_counted():
    problems = [Problem(f"fault {number}", "fix it", where="a") for number in range(12)]

    lines = list_problems("12 errors", problems, see="craft check a").splitlines()

    assert lines[:2] == ["12 errors", "  a: fault 0; fix it"]
    assert lines[10:] == ["  a: fault 9; fix it", "  ... and 2 more: craft check a"]
    assert list_problems("no errors", []) == "no errors"
