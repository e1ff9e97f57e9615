"""Shared traffic: many units meet a subject, and its variants share them by a hash.

Here: who competes, the rows of a release, and its form of the outbox.
Not here: what is learned and proven from it (traffic_learning) and the mathematics of shares (learning.traffic).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orchestration.assignment import holdout_salt, subject_salt
from orchestration.delivery import traffic_statements as statements
from orchestration.delivery.arms import PUBLISHABLE, arms_of
from orchestration.delivery.protocol import Compared, Deciding, Draw, Formats, Frames, Learning, Releasing, When
from orchestration.delivery.traffic_learning import compared_recipes, compared_shares, trusted
from orchestration.delivery.withdrawn import Withdrawn
from orchestration.generation.pipeline import Draft, Workshop
from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.drawing import draw
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.training import fit_policy
from orchestration.learning.proof.evidence import Condition
from orchestration.learning.traffic.allocation import Allocation
from orchestration.learning.traffic.competition import allocated
from orchestration.learning.traffic.rotation import staying
from orchestration.tables import TABLES

if TYPE_CHECKING:
    import polars as pl

    from orchestration.loops.declaration import Loop
    from orchestration.loops.lives import Life


@dataclass(frozen=True, kw_only=True)
class SharedTraffic:
    """Many units meet a subject; answers are compared within it.

    `floor` is the least share of any variant, `control` that of the original, `holdout` the share of units that always
    get the original, `variants` the most competing with it. `drafts` is how many options are briefed for a subject in a
    turn. `horizon` is the number of turns, this one included, in which what a turn learns should pay.

    `grace` is how long after a turn has begun, or was released, applications may still serve the release before it.
    Exposures within it that name no `release_id` may be of either, so that they are left out of every estimate.
    """

    unit: str
    floor: float = 0.01
    control: float = 0.10
    holdout: float = 0.05
    variants: int = 4
    drafts: int = 2
    horizon: int = 8
    grace: timedelta = timedelta(hours=3)
    audience = True

    def __post_init__(self) -> None:
        if self.allocation.holdout != self.holdout or self.drafts < 1 or not self.unit:
            raise ValueError("Shared traffic needs a unit, such as 'visitor', and at least one draft a subject.")
        if not isinstance(self.grace, timedelta) or self.grace < timedelta():
            raise ValueError(
                f"The grace of shared traffic is a time, such as hours(3), or hours(0); not {self.grace!r}."
            )

    @property
    def allocation(self) -> Allocation:
        return Allocation(
            floor=self.floor,
            control=self.control,
            holdout=self.holdout,
            variants=self.variants,
            horizon=self.horizon,
        )

    outputs = MappingProxyType({"releases": "releases"})

    def fits(self, loop: "Loop") -> None:
        if loop.subjects.key_is_personal:
            raise ValueError(
                f"Loop {loop.name!r} shares traffic on subjects whose key is personal: many units would meet what was "
                "written for one person. Deliver it with PerUnit."
            )
        if any(step.decides and step.recipes.folder is None for step in loop.generation.steps):
            raise ValueError(
                f"Loop {loop.name!r} shares traffic, where recipes and texts are learned, and chooses offers or "
                "prices: deliver it with PerUnit, or let the subject bring its answers with given(column)."
            )

    def draws(self, deciding: Deciding) -> list[Draw]:
        """`drafts` different options, by the probabilities of the champion; all of them where nothing is decided."""
        if not deciding.decides:
            return [Draw(offer=offer, propensity=1.0) for offer in deciding.offers]
        offers = {offer.option.option_id: offer for offer in deciding.offers}
        probabilities = deciding.policy.choice.probabilities(deciding.context)
        chosen = draw(probabilities, deciding.subject.subject_id, deciding.when.turn, self.drafts, deciding.when.seed)
        return [
            Draw(offer=offers[option], propensity=propensity, probabilities=probabilities)
            for option, propensity in chosen
        ]

    def tried(self, drafts: Sequence[Draft], briefs: Sequence[Mapping[str, Any]], workshop: Workshop) -> list[Draft]:  # noqa: ARG002
        return [*drafts]

    release_reads = MappingProxyType(
        {"met": statements.MET_BEFORE, "rejected": statements.REJECTED, "last": statements.LAST_RELEASE}
    )

    def released(self, releasing: Releasing) -> dict[str, "pl.DataFrame"]:
        """Variants of the subjects taken, with new shares; those of the living that wait stay as they were."""
        import polars as pl

        loop, read = releasing.loop, releasing.read
        lives = loop.subjects.lives
        allowed = newly_allowed(releasing.waiting, releasing.reviews)
        subjects = pl.concat([releasing.subjects, releasing.waiting.filter(pl.col("subject_id").is_in(allowed))])
        if lives.ends:
            subjects = with_turns_left(subjects, lives, releasing.when)
        last = _with_answers(read["last"], loop)
        competing = last.filter(~pl.col("is_control") & lives.keeps)
        arms = arms_of(subjects, releasing.reviews, competing, loop.name, loop.answer)
        arms = arms.filter(pl.col("is_control") | ~releasing.withdrawn.among(arms))
        shared = allocated(arms, read["met"], releasing.policy, self.allocation, releasing.embed)
        rows = release_rows(releasing, shared)
        if lives.keeps:
            waiting = set(releasing.waiting["subject_id"]) - set(subjects["subject_id"])
            last = without_shares(last, releasing.withdrawn)
            stays = staying(last, waiting, releasing.when.turn, read["rejected"]["candidate_id"].to_list())
            rows = pl.concat([rows, release_rows(releasing, stays)])
        return {"releases": rows}

    outbox_read = statements.PROVENANCE

    def without(self, rows: "pl.DataFrame", withdrawn: Withdrawn, loop: "Loop") -> "pl.DataFrame":  # noqa: ARG002
        """A withdrawn variant's share goes to its subject's original; the other shares stay."""
        return without_shares(rows, withdrawn)

    def in_their_place(self, rows: "pl.DataFrame", kept: "pl.DataFrame", turn: str, now: datetime) -> "pl.DataFrame":  # noqa: ARG002
        """None: the original is part of the release already."""
        return TABLES["deliveries"].frame([])

    def outbox(self, rows: "pl.DataFrame", loop: "Loop", turn: str) -> Iterator[dict[str, Any]]:
        """One item for each subject; the rows of a subject stand together."""
        import polars as pl

        texts = rows.with_columns(pl.col("written_in").cast(pl.String))
        for variants in texts.partition_by("subject_id", maintain_order=True):
            first = variants.row(0, named=True)
            yield {
                "loop": loop.name,
                "turn": turn,
                "release_id": first["release_id"],
                "subject_id": first["subject_id"],
                "category": first["category"],
                "format": first["format"],
                "unit": self.unit,
                "salt": subject_salt(loop.name, first["subject_id"]),
                "holdout": {"share": first["holdout"], "salt": holdout_salt(loop.name)},
                "variants": [
                    {
                        "variant_id": row["variant_id"],
                        "text": row["text"],
                        "answer": json.loads(row["answer"] or "null"),
                        "share": row["share"],
                        "is_control": row["is_control"],
                        **provenance(row, asked=row["model"] is not None),
                    }
                    for row in variants.to_dicts()
                ],
            }

    def first(self, loop: "Loop", by_format: Formats) -> Policy:  # noqa: ARG002
        return Policy.first(by_format)

    def understood(self, policy: str, by_format: Formats) -> Policy:
        return Policy.from_json(policy).covering(by_format)

    evidence = statements.EVIDENCE
    learning_reads = MappingProxyType(
        {
            "evidence": statements.EVIDENCE_SO_FAR,
            "seen": statements.SUBJECTS_SEEN,
            "subjects": statements.SUBJECTS_NOW,
            "drawn": statements.DRAWN,
            "challenger_before": statements.CHALLENGER_BEFORE,
        }
    )

    learns_from = "evidence"

    def fitted(self, learning: Learning) -> Policy:
        return fit_policy(learning.read["evidence"], learning.by_format, learning.embed)

    def parameters(self, policy: Policy) -> dict[str, float | int | str]:
        return {"briefs_per_subject": self.drafts, "exploration": policy.choice.exploration}

    def compared(self, learning: Learning, champion: Policy) -> Compared | None:
        """Recipes against recipes where a policy chooses them, else shares against shares."""
        if learning.loop.generation.decides:
            return compared_recipes(learning, champion, self.control)
        return compared_shares(learning, champion, self.allocation)

    condition_reads = MappingProxyType(
        {
            "observed": statements.OBSERVED_SHARES,
            "seen": statements.SUBJECTS_SEEN,
            "controls": statements.CONTROLS,
            "texts": statements.TEXTS,
            "places": statements.PLACES,
        }
    )

    def trusted(self, loop: "Loop", read: Frames, when: When) -> list[Condition]:
        return trusted(loop, read, when)

    def trust_checks(self, loop: "Loop") -> dict[str, str]:
        alike = {} if loop.generation.decides else {"near_identical_texts": "Nor a text in other words."}
        return {
            "sample_ratio": "Units were shown the variants in the shares that were released.",
            "shared_subjects": "No subject stands on both sides: what judged the challenger had not trained it.",
            **alike,
        }

    unwanted = statements.UNWANTED

    def places(self, read: Frames) -> list[tuple[Context, float]]:
        return [
            (Context(pool=pool, format=form), float(subjects))
            for pool, form, subjects in read["places"].select("category", "format", "subjects").iter_rows()
        ]


def without_shares(rows: "pl.DataFrame", withdrawn: Withdrawn) -> "pl.DataFrame":
    """Rows of releases less those withdrawn, whose shares go to the originals of their subjects."""
    import polars as pl

    gone = pl.col("_gone") & ~pl.col("is_control")
    freed = pl.col("share").filter(gone).sum().over("subject_id")
    marked = rows.with_columns(_gone=withdrawn.among(rows))
    shared = marked.with_columns(share=pl.when("is_control").then(pl.col("share") + freed).otherwise("share"))
    return shared.filter(~gone).drop("_gone")


def newly_allowed(waiting: "pl.DataFrame", reviews: "pl.DataFrame") -> list[str]:
    """Waiting subjects for which a person has let an answer out meanwhile: they compete anew."""
    import polars as pl

    allowed = reviews.filter(pl.col("decision").is_in(list(PUBLISHABLE)))["subject_id"]
    return sorted(set(allowed) & set(waiting["subject_id"]))


def with_turns_left(subjects: "pl.DataFrame", lives: "Life", when: When) -> "pl.DataFrame":
    """`subjects` with `turns_left`: turns in which each is in force, this one included."""
    import polars as pl

    first_day = date.fromisoformat(when.turn)
    left = [lives.turns_left(json.loads(facts), first_day, when.days) for facts in subjects["facts"]]
    return subjects.with_columns(turns_left=pl.Series(left, dtype=pl.Int64))


def release_rows(releasing: Releasing, arms: "pl.DataFrame") -> "pl.DataFrame":
    """Rows of `flywheel.releases` for arms with shares. A subject is its own stratum."""
    loop, turn, grace = releasing.loop.name, releasing.when.turn, releasing.loop.delivery.grace
    listed: dict[str, list[str]] = {}
    for arm in arms.to_dicts():
        listed.setdefault(arm["subject_id"], []).append(f"{arm['variant_id']} {arm['share']:.12f}")
    identity = {
        subject: hashlib.sha256("\x1f".join([loop, turn, subject, *of]).encode()).hexdigest()[:20]
        for subject, of in listed.items()
    }
    return TABLES["releases"].frame(
        {
            "holdout": releasing.loop.delivery.holdout,
            "policy_version": releasing.policy_version,
            **arm,
            "turn": date.fromisoformat(turn),
            "loop": loop,
            "release_id": identity[arm["subject_id"]],
            "stratum": arm["subject_id"],
            "released_at": releasing.now,
            "graced_until": switched_at(releasing.when, releasing.now) + grace if grace else None,
        }
        for arm in arms.to_dicts()
    )


def switched_at(when: When, released_at: datetime) -> datetime:
    """When a release takes the place of the one before: with its turn, or once it is there where that is later."""
    start = datetime.combine(date.fromisoformat(when.turn), datetime.min.time())
    return released_at if start <= released_at < start + timedelta(days=when.days) else start


def provenance(row: Mapping[str, Any], *, asked: bool) -> dict[str, Any]:
    """Where an answer comes from, and what a person who meets it has to be told."""
    if row["is_control"]:
        return {"provenance": {"source": "original"}, "disclosure": None}
    if not asked:  # a person wrote it, or whatever the sender of the subject uses; or the policy chose it
        kept = {name: row[name] for name in ("candidate_id", "written_in", "approved_by")} | by_hand(row)
        return {"provenance": {"source": "given", **kept, "allocated_by": row["policy_version"]}, "disclosure": None}
    named = (
        "candidate_id",
        "recipe_id",
        "prompt_name",
        "prompt_version",
        "model",
        "seed",
        "language",
        "written_in",
        "chosen_by",
    )
    return {
        "provenance": {
            "source": "generated",
            **{name: row[name] for name in named},
            "allocated_by": row["policy_version"],
            "approved_by": row["approved_by"],
            **by_hand(row),
        },
        "disclosure": f"Written by an AI model ({row['model']}), {_DISCLOSED[by_hand(row)['person']]}.",
    }


_DISCLOSED = {
    None: "released after automatic checks",
    "approved": "approved by a person",
    "edited": "edited by a person",
}


def by_hand(row: Mapping[str, Any]) -> dict[str, str | None]:
    """What a person did to an answer (`approved`, `edited` or None), and which guards' objections they overrode."""
    return {"person": {"approve": "approved", "edit": "edited"}.get(row["person_did"]), "overrode": row["overrode"]}


def _with_answers(last: "pl.DataFrame", loop: "Loop") -> "pl.DataFrame":
    """Rows of a release, those of homes that kept texts only with the answers that these make."""
    import polars as pl

    from orchestration.generation.answers import canonical, text_field

    field = text_field(loop.answer)
    from_text = pl.col("text").map_elements(lambda text: canonical({field: text}), return_dtype=pl.String)
    return last.with_columns(answer=pl.coalesce("answer", from_text))
