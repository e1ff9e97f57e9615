"""A seventh loop, declared in one file: titles of articles, which many readers meet."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from orchestration.delivery import SharedTraffic
from orchestration.generation import Shown, written
from orchestration.generation.calls import Request
from orchestration.guards import on, words
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.recipes import Recipes
from orchestration.testing.scripted_model import ScriptedModel
from orchestration.testing.turning import TurningLoop
from orchestration.worlds.simulated.responses import RespondingAudience

RECIPE = """---
format: title
style: {style}
languages: [en]
max_tokens: 20
temperature: 0.5
---

## system
Write a title, {style}.

## user

{{{{ facts }}}}
"""


class Title(BaseModel):
    title: Annotated[str, Shown()]
    teaser: str = ""


def titles(folder: Path) -> Loop:
    for style in ("asking", "plain"):
        (folder / f"title-{style}.md").write_text(RECIPE.format(style=style))
    return Loop(
        name="titles",
        subjects=Subjects(key="article", facts=("topic",), original="title_now", pool="topic", format="form"),
        generation=written(Recipes(folder)),
        answer=Title,
        guards=(on("title", words(at_most=8)),),
        delivery=SharedTraffic(unit="reader", holdout=0.2),
        outcomes=(Outcome("opened", within=days(1)),),
        reward=Reward("opened"),
    )


def title_of(request: Request) -> dict[str, Any]:
    topic = request.messages[-1]["content"].removeprefix("topic: ")
    asks = "asking" in request.messages[0]["content"]
    title = f"Why {topic} {request.seed % 97}?" if asks else f"On {topic} {request.seed % 97}"
    return {"title": title, "teaser": "read"}


def opens(answer: dict[str, Any], item: dict[str, Any]) -> dict[str, float]:  # noqa: ARG001
    return {"opened": 0.5 if answer["title"].endswith("?") else 0.2}


def test_titles_that_ask_are_learned(tmp_path: Path) -> None:
    recipes = tmp_path / "titles"
    recipes.mkdir()
    article = {"title_now": "An article", "form": "title"}
    articles = [article | {"article": f"a{n}", "topic": f"t{n % 3}"} for n in range(24)]
    audience = RespondingAudience(response=opens, seed=2, units=300)
    loop = TurningLoop(tmp_path / "home", titles(recipes), articles, ScriptedModel(title_of), audience)
    loop.turns(2)
    released = loop.table("releases")
    newest = released.filter(released["turn"] == released["turn"].max(), ~released["is_control"])
    asking = newest.filter(newest["recipe_id"] == "title-asking-en")["share"].mean()
    assert asking > 2 * newest.filter(newest["recipe_id"] == "title-plain-en")["share"].mean()
    assert '"teaser":"read"' in newest["answer"][0]
    assert loop.table("momentum")["lift_low"].to_list()[-1] > 0
