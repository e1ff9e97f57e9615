"""A seventh loop, declared in one file: functions that must pass their tests, which no audience meets."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from orchestration.delivery import Trial
from orchestration.generation import Shown, contained, in_rounds, written
from orchestration.generation.calls import Request
from orchestration.guards import rule
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.lives import until_met
from orchestration.loops.recipes import Recipes
from orchestration.testing.scripted_model import ScriptedModel
from orchestration.testing.turning import TurningLoop
from tests.test_seventh_loop_shared import RECIPE


class Function(BaseModel):
    code: Annotated[str, Shown()]


def functions(folder: Path) -> Loop:
    for style in ("careful", "hasty"):
        (folder / f"code-{style}.md").write_text(RECIPE.format(style=style).replace("format: title", "format: code"))
    return Loop(
        name="functions",
        subjects=Subjects(
            key="task",
            facts=("asked", "tests"),
            original="code_now",
            pool="kind",
            format="form",
            lives=until_met("passed"),
        ),
        generation=in_rounds(written(Recipes(folder)), contained("code", "tests"), at_most=2),
        answer=Function,
        guards=(rule("short", "At most 20 lines.", lambda answer, _: answer["code"].count("\n") <= 20),),
        delivery=Trial(holdout=0.2),
        outcomes=(Outcome("passed", within=days(1)), Outcome("rounds", within=days(1), has_value=True)),
        reward=Reward("passed", less={"rounds": 0.05}),
    )


def code_of(request: Request) -> str:
    """The careful prompt gets half of them right at once, the hasty one a tenth; told what failed, both mend it."""
    mended = "trial failed" in request.messages[-1]["content"]
    careful = "careful" in request.messages[0]["content"]
    right = mended if request.seed % 10 > 7 else request.seed % 10 < (5 if careful else 1)
    return f"def double(n):\n    return n * {2 if right else 3}\n"


def test_prompts_whose_code_passes_are_learned(tmp_path: Path) -> None:
    recipes = tmp_path / "functions"
    recipes.mkdir()
    tasks = [
        {"task": f"t{n}", "asked": "double a number", "tests": f"assert double({n}) == {2 * n}\nassert double(1) == 2",
         "code_now": "pass", "kind": "arithmetic", "form": "code"}
        for n in range(60)
    ]  # fmt: skip
    loop = TurningLoop(tmp_path / "home", functions(recipes), tasks, ScriptedModel(code_of))
    loop.turns(2)
    candidates, decisions = loop.table("candidates"), loop.table("decisions")
    assert candidates["rounds"].max() == 2
    passed = set(loop.table("results").filter(outcome="passed", turn=decisions["turn"].min())["subject_id"])
    assert passed
    later = decisions.filter(decisions["turn"] == decisions["turn"].max())
    assert not passed & set(later["subject_id"]), "what has passed is not asked for again"
    by_option = loop.table("evidence").group_by("recipe_id").agg(__import__("polars").col("reward").mean())
    rates = dict(by_option.iter_rows())
    assert rates["code-careful-en"] > rates["code-hasty-en"]
    assert loop.table("momentum")["difference"].is_not_null().all()
