"""The tables that Python writes: columns, types, grain and meaning, in one place.

Here: the contract between the stages, the warehouse, dbt's sources and the documentation.
Not here: how tables are written (warehouse.duckdb_file) and what dbt derives from them (dbt_project).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "flywheel"


@dataclass(frozen=True)
class Table:
    """A table in schema `flywheel`. `columns` maps a name to (DuckDB type, meaning); `key` identifies a row.

    `may_lack` names columns that a row may leave out, as those of earlier versions do: null, whose meaning they say.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    columns: Mapping[str, tuple[str, str]]
    may_lack: frozenset[str] = frozenset()

    @property
    def qualified(self) -> str:
        return f"{SCHEMA}.{self.name}"

    @property
    def by_turn(self) -> bool:
        return "turn" in self.columns

    @property
    def by_loop(self) -> bool:
        return "loop" in self.columns

    def frame(self, rows: Iterable[Mapping[str, Any]]) -> "pl.DataFrame":
        """Rows as a frame of this table's columns and types, empty when there are none."""
        import polars as pl

        types: dict[str, type[pl.DataType] | pl.DataType] = {
            "VARCHAR": pl.String,
            "BIGINT": pl.Int64,
            "INTEGER": pl.Int32,
            "DOUBLE": pl.Float64,
            "BOOLEAN": pl.Boolean,
            "DATE": pl.Date,
            "TIMESTAMP": pl.Datetime("us"),
        }
        schema = {name: types[kind] for name, (kind, _) in self.columns.items()}
        listed = [{name: row.get(name) if name in self.may_lack else row[name] for name in schema} for row in rows]
        return pl.DataFrame(listed, schema=schema, orient="row")


_TURN = ("DATE", "First day of the turn.")
_LOOP = ("VARCHAR", "Loop, such as `content`.")
_SUBJECT = ("VARCHAR", "What was generated for.")
_VARIANT = ("VARCHAR", "Content hash of loop, subject and text: the same text keeps its identity over turns.")
_STRATUM = ("VARCHAR", "Within what its variants are compared: the subject.")
_ANSWER = ("VARCHAR", "Canonical JSON of the answer.")
_HOLDOUT_POINT = (
    "DOUBLE",
    "Point of the subject in [0, 1) for the holdout, what counts where units are subjects: of its identifier, of its "
    "pseudonym where that is personal.",
)
_OPTIONS = ("VARCHAR", "JSON object: each option that could have been chosen, with its probability.")
_OPTION_PARTS = ("VARCHAR", "JSON object: each option with what it is made of.")
_UNIT = ("VARCHAR", "Pseudonym of the visitor or customer: a keyed hash, never the identifier.")
_FILE = ("VARCHAR", "SHA-256 of the landed file that this row came from.")

# fmt: off
_ALL = (
    Table("landed_files", "one row per file ingested", ("kind", "loop", "file_hash"), {
        "file_hash": _FILE,
        "kind": ("VARCHAR", "`subjects`, `events`, `reviews`, `withdrawals`, `exclusions` or `documents`."),
        "loop": ("VARCHAR", "Loop or corpus that the file belongs to; null for events, which serve all loops."),
        "name": ("VARCHAR", "Path below landing/."),
        "bytes": ("BIGINT", "Size of the file."),
        "modified_ns": ("BIGINT", "Modification time of the file, to skip known files without hashing them."),
        "rows_read": ("BIGINT", "Rows in the file; always accepted + duplicates + quarantined."),
        "accepted": ("BIGINT", "Rows stored."),
        "duplicates": ("BIGINT", "Rows known already."),
        "quarantined": ("BIGINT", "Rows refused, each with its reason."),
        "ingested_at": ("TIMESTAMP", "When, in UTC."),
        "run_id": ("VARCHAR", "Dagster run that ingested the file."),
        "changed_ns": ("BIGINT", "When the file came to lie there: a later time says that it came again."),
        "declared": ("VARCHAR", "Columns that were declared then; under others a file that comes again is read anew."),
    }),
    Table("quarantine", "one row per refused row of a landed file", ("kind", "loop", "file_hash", "line"), {
        "file_hash": _FILE,
        "kind": ("VARCHAR", "Kind of the file."),
        "loop": ("VARCHAR", "Loop or corpus that the file belongs to; null for events."),
        "line": ("BIGINT", "Number of the line in its text file, or of the row in Parquet, from 1."),
        "reason": ("VARCHAR", "Why, as a short code."),
        "detail": ("VARCHAR", "What was expected; never an identifier of a person."),
        "event_turn": ("DATE", "Turn of the event; of one whose time says none, that of most rows of its file, or else "
                       "the newest turn released."),
        "event_loop": ("VARCHAR", "Loop of the event, or the one that its name is most like; null where none is."),
        "event_type": ("VARCHAR", "Type of the event, or the declared one that it is most like; null where none is."),
        "event_key": ("VARCHAR", "Hash of the event_id, to see the same event come in good order."),
        "mended_by": ("VARCHAR", "SHA-256 of the file that brought the same event in good order; null until then."),
    }),
    Table("landed_subjects", "one row per loop, subject and version of its facts", ("loop", "subject_id", "version"), {
        "loop": _LOOP,
        "subject_id": _SUBJECT,
        "version": ("VARCHAR", "Content hash of the row."),
        "format": ("VARCHAR", "What is to be written, such as `description`; recipes are matched on it."),
        "category": ("VARCHAR", "What subjects are pooled by."),
        "original": ("VARCHAR", "Text in force without the flywheel: the control."),
        "facts": ("VARCHAR", "JSON object of the facts that an answer may use."),
        "holdout_point": _HOLDOUT_POINT,
        "withdrawn": ("BOOLEAN", "Whether the sender has taken the subject out: nothing is released for it."),
        "landed_order": ("BIGINT", "Order of arrival; the highest is the version in force."),
        "file_hash": _FILE,
        "language": ("VARCHAR", "Language to write in, as an ISO 639-1 code; null where the loop or the home says it."),
    }),
    Table("landed_documents", "one row per corpus, document and version of it", ("corpus", "document_id", "version"), {
        "corpus": ("VARCHAR", "What documents are looked up in together: their folder below landing/documents/."),
        "document_id": ("VARCHAR", "The sender's identity of the document."),
        "version": ("VARCHAR", "Content hash of the row."),
        "title": ("VARCHAR", "Title, as a citation shows it."),
        "text": ("VARCHAR", "The document's text."),
        "source": ("VARCHAR", "Where it comes from, as the sender names it; null where unsaid."),
        "url": ("VARCHAR", "Where a reader finds it; null where unsaid."),
        "landed_order": ("BIGINT", "Order of arrival; the highest is the version in force."),
        "file_hash": _FILE,
    }),
    Table("landed_reviews", "one row per decision of a person", ("review_id",), {
        "review_id": ("VARCHAR", "Content hash of the decision."),
        "loop": _LOOP,
        "candidate_id": ("VARCHAR", "Candidate decided on."),
        "decision": ("VARCHAR", "`approve`, `edit` or `reject`."),
        "text": ("VARCHAR", "The edited text, for `edit`."),
        "edits": ("VARCHAR", "JSON object of edited fields, for `edit`."),
        "override": ("BOOLEAN", "Whether the edit goes out although a guard blocks it; the reason says why."),
        "reviewer": ("VARCHAR", "Pseudonym of who decided."),
        "reason": ("VARCHAR", "Why, in the reviewer's words."),
        "decided_at": ("TIMESTAMP", "When, in UTC."),
        "file_hash": _FILE,
    }),
    Table("withdrawals", "one row per withdrawal, and per withdrawal taken back", ("withdrawal_id",), {
        "withdrawal_id": ("VARCHAR", "Content hash of the withdrawal."),
        "loop": _LOOP,
        "target": ("VARCHAR", "What comes down: a `variant`, `candidate`, `release` (or decision) or `subject`."),
        "target_id": ("VARCHAR", "Its identity; of a subject whose key is personal its pseudonym."),
        "undoes": ("VARCHAR", "The withdrawal that this row takes back; null for a withdrawal."),
        "by_column": ("BOOLEAN", "Whether a file of subjects said so, by its column `withdrawn`."),
        "withdrawn_by": ("VARCHAR", "Pseudonym of who asked; null where a file of subjects did."),
        "reason": ("VARCHAR", "Why, in the words of who asked."),
        "withdrawn_at": ("TIMESTAMP", "When, in UTC."),
        "file_hash": _FILE,
    }),
    Table("exclusions", "one row per loop and span of time that is excluded, and per exclusion taken back",
          ("exclusion_id",), {
        "exclusion_id": ("VARCHAR", "Content hash of the exclusion."),
        "loop": _LOOP,
        "excluded_from": ("TIMESTAMP", "First moment of which no event counts, in UTC; null where one is taken back."),
        "excluded_until": ("TIMESTAMP", "Moment from which events count again, in UTC."),
        "undoes": ("VARCHAR", "The exclusion that this row takes back; null for an exclusion."),
        "reason": ("VARCHAR", "Why, in the words of who asked."),
        "excluded_by": ("VARCHAR", "Pseudonym of who asked."),
        "excluded_at": ("TIMESTAMP", "When it was asked for, in UTC."),
        "ingested_at": ("TIMESTAMP", "When the row arrived, in UTC."),
        "file_hash": _FILE,
    }),
    Table("events", "one row per accepted event", ("turn", "event_id"), {
        "turn": _TURN,
        "event_id": ("VARCHAR", "The sender's identity of the event; repeats are duplicates."),
        "event_type": ("VARCHAR", "`exposure`, or the name of an outcome."),
        "loop": _LOOP,
        "subject_id": _SUBJECT,
        "variant_id": ("VARCHAR", "Variant shown; null where an outcome does not know it."),
        "unit_id": _UNIT,
        "segment": ("VARCHAR", "Audience segment of the unit, as the application names it."),
        "occurred_at": ("TIMESTAMP", "When, in UTC."),
        "value": ("DOUBLE", "Amount of an outcome, such as revenue."),
        "propensity": ("DOUBLE", "Probability with which the application chose the variant, if it says so."),
        "in_holdout": ("BOOLEAN", "Whether the unit belongs to the holdout, computed before pseudonymisation."),
        "simulated": ("BOOLEAN", "Whether a simulated audience made the event."),
        "ingested_at": ("TIMESTAMP", "When the row arrived, in UTC."),
        "file_hash": _FILE,
        "release_id": ("VARCHAR", "Release, or decision, that was served, as the application says; null where unsaid."),
    }),
    Table("champions", "one row per turn and loop", ("turn", "loop"), {
        "turn": _TURN,
        "loop": _LOOP,
        "policy_version": ("VARCHAR", "Version of the registered model in force when the turn was produced."),
        "mlflow_run_id": ("VARCHAR", "Run that trained it."),
        "policy": ("VARCHAR", "JSON of the policy's parameters."),
    }),
    Table("subjects", "one row per turn, loop and subject", ("turn", "loop", "subject_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "subject_id": _SUBJECT,
        "version": ("VARCHAR", "Version of the landed facts used in this turn."),
        "format": ("VARCHAR", "What is to be written."),
        "category": ("VARCHAR", "What subjects are pooled by."),
        "original": ("VARCHAR", "Text in force without the flywheel."),
        "facts": ("VARCHAR", "JSON object of the facts that an answer may use."),
        "holdout_point": _HOLDOUT_POINT,
        "language": ("VARCHAR", "Language to write in, as an ISO 639-1 code; null where the loop or the home says it."),
    }),
    Table("briefs", "one row per turn, loop, subject and recipe chosen", ("turn", "loop", "brief_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "brief_id": ("VARCHAR", "Content hash of the request."),
        "subject_id": _SUBJECT,
        "recipe_id": ("VARCHAR", "Template with its parameters, such as `headline-playful-en`."),
        "style": ("VARCHAR", "Style parameter of the recipe."),
        "language": ("VARCHAR", "Language parameter of the recipe."),
        "prompt_name": ("VARCHAR", "Name in the MLflow prompt registry."),
        "prompt_version": ("INTEGER", "Version in the MLflow prompt registry."),
        "messages": ("VARCHAR", "JSON array of chat messages, as sent."),
        "exemplars": ("VARCHAR", "JSON array of the variants shown as examples."),
        "max_tokens": ("INTEGER", "Most tokens that the answer may take."),
        "temperature": ("DOUBLE", "Sampling temperature of the request."),
        "seed": ("BIGINT", "Seed of the request."),
        "option_id": ("VARCHAR", "Option that the policy chose: the recipe, and what else was chosen with it."),
        "options": _OPTIONS,
        "option_parts": _OPTION_PARTS,
        "context": ("VARCHAR", "JSON of what was known of the subject."),
        "fields": (
            "VARCHAR",
            "JSON object of the answer's fields that the choice itself filled, such as an offer or a price.",
        ),
        "escalation": ("VARCHAR", "Why the subject goes to a person, so that nobody is asked; null when one is."),
        "sources": ("VARCHAR", "JSON array of the documents whose passages it shows."),
        "propensity": ("DOUBLE", "Probability with which the policy chose this recipe for the subject."),
        "policy_version": ("VARCHAR", "Policy that chose."),
    }),
    Table("candidates", "one row per brief", ("turn", "loop", "candidate_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "candidate_id": ("VARCHAR", "Content hash of brief and answer."),
        "brief_id": ("VARCHAR", "Brief answered."),
        "subject_id": _SUBJECT,
        "recipe_id": ("VARCHAR", "Recipe used."),
        "status": ("VARCHAR", "`ok`, or why there is no answer (language_model.STATUSES)."),
        "text": ("VARCHAR", "The answer's text; null without one."),
        "answer": ("VARCHAR", "JSON of the parsed answer; null without one."),
        "error": ("VARCHAR", "What went wrong, in a sentence; null when nothing did."),
        "rounds": ("INTEGER", "Rounds of trial and repair it took."),
        "results": ("VARCHAR", "JSON object of what its trial measured; null without a trial."),
        "call_id": ("VARCHAR", "Last call made for the brief; null when none was."),
    }),
    Table("llm_calls", "one row per turn, loop and call", ("turn", "loop", "call_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "call_id": ("VARCHAR", "Content hash of the request and its attempt."),
        "brief_id": ("VARCHAR", "Brief that the call was for."),
        "prompt_name": ("VARCHAR", "Prompt used."),
        "prompt_version": ("INTEGER", "Its version."),
        "model": ("VARCHAR", "Model that answered, as the endpoint names it."),
        "seed": ("BIGINT", "Seed of the request."),
        "status": ("VARCHAR", "As in candidates."),
        "input_tokens": ("BIGINT", "Tokens read."),
        "output_tokens": ("BIGINT", "Tokens written."),
        "cost_usd": ("DOUBLE", "Cost in US dollars, at the prices set."),
        "latency_s": ("DOUBLE", "Seconds until the answer, retries included."),
        "cache_hit": ("BOOLEAN", "Whether an earlier turn had paid for the answer."),
        "called_at": ("TIMESTAMP", "When, in UTC."),
    }),
    Table("verdicts", "one row per candidate and guard", ("turn", "loop", "candidate_id", "guard"), {
        "turn": _TURN,
        "loop": _LOOP,
        "candidate_id": ("VARCHAR", "Candidate judged."),
        "guard": ("VARCHAR", "Guard that judged."),
        "decision": ("VARCHAR", "`pass`, `flag` or `block`."),
        "reason": ("VARCHAR", "Why, in a sentence."),
    }),
    Table("reviews", "one row per candidate with an answer", ("turn", "loop", "candidate_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "candidate_id": ("VARCHAR", "Candidate decided on; of this turn, or waiting since an earlier one."),
        "subject_id": _SUBJECT,
        "recipe_id": ("VARCHAR", "Recipe used."),
        "decision": ("VARCHAR", "`publish`, `approve`, `edit`, `reject`, `withdraw`, `block` or `wait`."),
        "decided_by": ("VARCHAR", "`gate`, or `person`."),
        "text": ("VARCHAR", "Text as it may go out."),
        "answer": ("VARCHAR", "Canonical JSON of the answer as it may go out."),
        "overrode": ("VARCHAR", "What the guards had blocked, where a person let an edit out all the same; else null."),
        "reason": ("VARCHAR", "Why."),
    }, may_lack=frozenset({"overrode"})),
    Table("releases", "one row per turn, loop, subject and variant", ("turn", "loop", "subject_id", "variant_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "release_id": ("VARCHAR", "Content hash of the subject's release."),
        "subject_id": _SUBJECT,
        "format": ("VARCHAR", "Format of the subject."),
        "category": ("VARCHAR", "Category of the subject."),
        "stratum": _STRATUM,
        "variant_id": _VARIANT,
        "is_control": ("BOOLEAN", "Whether this is the original."),
        "candidate_id": ("VARCHAR", "Candidate it came from; null for the control."),
        "recipe_id": ("VARCHAR", "Recipe it came from; null for the control."),
        "text": ("VARCHAR", "Text in force."),
        "answer": _ANSWER,
        "share": ("DOUBLE", "Probability with which a unit outside the holdout meets the variant; sums to 1."),
        "predicted": ("DOUBLE", "Expected lift over the control as a log ratio, at release."),
        "holdout": ("DOUBLE", "Share of all units that always get the control."),
        "policy_version": ("VARCHAR", "Policy that allocated."),
        "released_at": ("TIMESTAMP", "When, in UTC."),
        "graced_until": (
            "TIMESTAMP",
            "Until when an exposure that names no release may be of the release before it; null where it never is.",
        ),
    }, may_lack=frozenset({"graced_until"})),
    Table("decisions", "one row per turn, loop and decision", ("turn", "loop", "decision_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "decision_id": ("VARCHAR", "Content hash of the decision."),
        "subject_id": ("VARCHAR", "For whom or what it was decided; a pseudonym where the key is personal."),
        "format": ("VARCHAR", "Format of the subject."),
        "category": ("VARCHAR", "Category of the subject."),
        "stratum": ("VARCHAR", "Within what answers are compared: the pool."),
        "context": ("VARCHAR", "JSON of what was known of the subject."),
        "options": ("VARCHAR", "JSON object: each option with its probability."),
        "option_parts": _OPTION_PARTS,
        "option": ("VARCHAR", "Option chosen; null in the holdout of a loop whose holdout is left alone."),
        "propensity": ("DOUBLE", "Probability with which it was chosen."),
        "is_control": ("BOOLEAN", "Whether the subject got what it would have got anyway, because it is held out."),
        "in_holdout": ("BOOLEAN", "Whether the subject belongs to the holdout."),
        "delivered": (
            "BOOLEAN",
            "Whether an answer to the option went out; if not, the subject got what it would have got anyway.",
        ),
        "variant_id": ("VARCHAR", "Content hash of loop, subject and answer."),
        "candidate_id": ("VARCHAR", "Candidate it came from; null where nothing was delivered."),
        "recipe_id": ("VARCHAR", "Recipe it came from; null where nothing was delivered."),
        "text": ("VARCHAR", "Text in force."),
        "answer": _ANSWER,
        "holdout": ("DOUBLE", "Share of all subjects that get what they would have got anyway."),
        "policy_version": ("VARCHAR", "Policy that decided."),
        "tried_at": ("TIMESTAMP", "Moment of the trial that judged it; null where an audience meets it."),
        "decided_at": ("TIMESTAMP", "When, in UTC."),
    }),
    Table("deliveries", "one row per turn, loop, decision and answer that went out under it after it was taken",
          ("turn", "loop", "decision_id", "variant_id"), {
        "turn": ("DATE", "First day of the turn whose outbox holds it."),
        "loop": _LOOP,
        "decision_id": ("VARCHAR", "Decision that it goes out under."),
        "decided_in": ("DATE", "First day of the turn that took the decision."),
        "subject_id": ("VARCHAR", "For whom or what it was decided."),
        "variant_id": _VARIANT,
        "candidate_id": ("VARCHAR", "Candidate it came from."),
        "text": ("VARCHAR", "Text that goes out."),
        "answer": _ANSWER,
        "delivered": ("BOOLEAN", "Whether it is an answer to the option; if not, what the subject gets anyway."),
        "because": ("VARCHAR", "`approved` by a person after its turn, or `withdrawn`."),
        "counts": (
            "BOOLEAN",
            "Whether outcomes count from its exposure on. Not where the subject only lived on because an outcome had "
            "not come: it would be given a second chance that others had not.",
        ),
        "delivered_at": ("TIMESTAMP", "When, in UTC."),
    }),
    Table("results", "one row per turn, loop, decision and outcome that its trial, or the making of its answer, showed",
          ("turn", "loop", "decision_id", "outcome"), {
        "turn": _TURN,
        "loop": _LOOP,
        "decision_id": ("VARCHAR", "Decision it belongs to."),
        "subject_id": ("VARCHAR", "For whom or what it was decided."),
        "outcome": ("VARCHAR", "Name of the outcome, such as `passed`."),
        "value": ("DOUBLE", "Amount; null where the outcome has none."),
        "recorded_at": ("TIMESTAMP", "When, in UTC."),
    }),
    Table("exposures", "one row per exposure event", ("turn", "exposure_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "exposure_id": ("VARCHAR", "Identity of the event."),
        "release_id": ("VARCHAR", "Release that was in force, or decision that was shown."),
        "subject_id": _SUBJECT,
        "variant_id": _VARIANT,
        "unit_id": _UNIT,
        "segment": ("VARCHAR", "Audience segment of the unit."),
        "occurred_at": ("TIMESTAMP", "When, in UTC."),
        "propensity": ("DOUBLE", "Probability of the variant: the decision's, or the share, 1 in a release's holdout."),
        "is_control": ("BOOLEAN", "Whether the variant is the original."),
        "in_holdout": ("BOOLEAN", "Whether the unit belongs to the holdout."),
        "met_in": ("DATE", "Turn in which it was shown, where another one than it belongs to; null in its own."),
        "late": ("BOOLEAN", "Whether outcomes count from it on: an answer was shown that was approved after its turn."),
        "simulated": ("BOOLEAN", "Whether a simulated audience made the event."),
        "left_out": (
            "VARCHAR",
            "Why it counts nowhere: `grace` where it may be of this release or of the one before, or the identity of "
            "the exclusion whose hours it lies in; null where it counts.",
        ),
    }),
    Table("outcomes", "one row per outcome event", ("turn", "outcome_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "outcome_id": ("VARCHAR", "Identity of the event."),
        "outcome": ("VARCHAR", "Name of the outcome, such as `click`."),
        "subject_id": _SUBJECT,
        "unit_id": _UNIT,
        "occurred_at": ("TIMESTAMP", "When, in UTC."),
        "value": ("DOUBLE", "Amount; null where the outcome has none."),
        "decision_id": ("VARCHAR", "Decision that it is a result of; null for an event."),
        "simulated": ("BOOLEAN", "Whether a simulated audience made the event."),
        "release_id": ("VARCHAR", "Release, or decision, that it follows, as the application says; null where unsaid."),
        "left_out": ("VARCHAR", "Identity of the exclusion whose hours it lies in; null where it counts."),
    }),
    Table("outcome_definitions", "one row per loop and outcome", ("loop", "outcome"), {
        "loop": _LOOP,
        "outcome": ("VARCHAR", "Name of the outcome."),
        "within_s": ("BIGINT", "Seconds after the first exposure in which the outcome counts."),
        "weight": (
            "DOUBLE",
            "What one of it adds to the reward, times its value where it has one: 1 for what is learned from, "
            "negative for what is taken off, 0 for the others.",
        ),
        "is_reward": ("BOOLEAN", "Whether the loop learns from it: its weight is not 0."),
        "is_guardrail": ("BOOLEAN", "Whether a promotion must not make it worse."),
        "has_value": ("BOOLEAN", "Whether it carries an amount, which the weight then multiplies."),
        "cut_at": (
            "DOUBLE",
            "Share of the turn's units whose amounts count in full; larger ones are cut to theirs. Null: all do.",
        ),
    }, may_lack=frozenset({"cut_at"})),
    Table("turn_scope", "one row per turn that dbt is to build now", ("turn",), {"turn": _TURN}),
    Table("evidence", "one row per turn, loop, subject and variant", ("turn", "loop", "subject_id", "variant_id"), {
        "turn": _TURN,
        "loop": _LOOP,
        "subject_id": _SUBJECT,
        "format": ("VARCHAR", "Format of the subject."),
        "category": ("VARCHAR", "Category of the subject."),
        "stratum": _STRATUM,
        "variant_id": _VARIANT,
        "is_control": ("BOOLEAN", "Whether this is the original."),
        "recipe_id": ("VARCHAR", "Recipe; null for the control."),
        "text": ("VARCHAR", "Text that was shown."),
        "units": ("BIGINT", "Units outside the holdout whose first exposure was this variant."),
        "reward": ("DOUBLE", "Sum of their rewards."),
        "reward_squares": ("DOUBLE", "Sum of their squared rewards."),
        "share": ("DOUBLE", "Propensity of the variant in its release."),
        "recipe_propensity": ("DOUBLE", "Propensity of the recipe when the brief was written; null for the control."),
        "fold": ("INTEGER", "Fold of the subject in cross-fitting; a subject never leaves its fold."),
        "simulated": ("BOOLEAN", "Whether any of it comes from a simulated audience."),
    }),
    Table("challengers", "one row per turn and loop", ("turn", "loop"), {
        "turn": _TURN,
        "loop": _LOOP,
        "policy_version": ("VARCHAR", "Version of the registered model that was trained."),
        "mlflow_run_id": ("VARCHAR", "Run that trained it."),
        "trained_on": ("VARCHAR", "JSON array of the turns whose evidence it saw."),
        "rows": ("BIGINT", "Rows of evidence it saw."),
        "policy": ("VARCHAR", "JSON of the policy's parameters."),
    }),
    Table("comparisons", "one row per turn and loop that could be compared", ("turn", "loop"), {
        "turn": _TURN,
        "loop": _LOOP,
        "champion": ("VARCHAR", "Version that challengers were compared with."),
        "outcome": ("VARCHAR", "Outcome compared: the reward."),
        "subjects": ("BIGINT", "Subjects compared."),
        "weight": ("DOUBLE", "Their units outside the holdout."),
        "difference": ("DOUBLE", "Challenger minus champion, in rewards."),
        "squares": ("DOUBLE", "Sum over subjects of the squared difference."),
        "champion_value": ("DOUBLE", "The champion's rewards."),
        "drawn": ("DOUBLE", "Sum of the challenger's importance weights times units."),
        "drawn_squares": ("DOUBLE", "Sum of their squares."),
    }),
    Table("promotions", "one row per turn, loop and record of its decision", ("turn", "loop", "record"), {
        "turn": _TURN,
        "loop": _LOOP,
        "record": ("INTEGER", "Number of the record, from 0; null counts as 0. The highest says what is known now."),
        "because": ("VARCHAR", "Why it was recorded: `learned` for the first, `late events` for those after it."),
        "took_effect": (
            "BOOLEAN",
            "Whether the turns after it obey it; null counts as true. What took effect is never rewritten.",
        ),
        "champion_before": ("VARCHAR", "Version in force before the decision."),
        "challenger": ("VARCHAR", "Version that asked for promotion."),
        "promoted": ("BOOLEAN", "Whether the challenger became the champion."),
        "champion_after": ("VARCHAR", "Version in force after the decision."),
        "reason": ("VARCHAR", "The decision in a sentence, with its number."),
        "mlflow_run_id": ("VARCHAR", "Run of the challenger."),
        "decided_at": ("TIMESTAMP", "When, in UTC."),
        "recorded_at": ("TIMESTAMP", "When the record was written, in UTC."),
    }, may_lack=frozenset({"record", "because", "took_effect", "recorded_at"})),
    Table("rollbacks", "one row per rollback", ("loop", "rolled_back_at"), {
        "turn": ("DATE", "Newest turn that had been decided on: the turns after it obey the rollback."),
        "loop": _LOOP,
        "from_version": ("VARCHAR", "Version that was in force."),
        "to_version": ("VARCHAR", "Version in force since."),
        "reason": ("VARCHAR", "Why, in the words of who asked."),
        "rolled_back_at": ("TIMESTAMP", "When, in UTC."),
    }),
    Table("home_settings", "one row per setting that defines the home", ("setting",), {
        "setting": ("VARCHAR", "Name of the setting; `warehouse` is the identity that the home knows this one by."),
        "value": ("VARCHAR", "Its value; of the key of pseudonyms only a pseudonym that it gives."),
        "recorded_at": ("TIMESTAMP", "When, in UTC."),
    }),
    Table("prunings", "one row per pruning that took rows away", ("turn", "pruned_at"), {
        "turn": ("DATE", "First turn that was kept: of those before it only what later turns rest on is left."),
        "events": ("BIGINT", "Rows of `flywheel.events` that went, so that accepted rows can still be accounted for."),
        "pruned_at": ("TIMESTAMP", "When, in UTC."),
    }),
    Table("promotion_conditions", "one row per turn, loop, record and condition",
          ("turn", "loop", "record", "condition"), {
        "turn": _TURN,
        "loop": _LOOP,
        "record": ("INTEGER", "Record of the decision that it belongs to; null counts as 0."),
        "condition": ("VARCHAR", "Name of the condition."),
        "number": ("DOUBLE", "What was measured."),
        "comparison": ("VARCHAR", "`>`, `>=`, `<` or `<=`."),
        "threshold": ("DOUBLE", "What it was held against."),
        "passed": ("BOOLEAN", "Whether it held."),
        "detail": ("VARCHAR", "The same in a sentence."),
    }, may_lack=frozenset({"record"})),
)

# fmt: on

TABLES: Mapping[str, Table] = {table.name: table for table in _ALL}
