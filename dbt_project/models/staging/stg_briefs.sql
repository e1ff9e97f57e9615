select turn, loop, brief_id, subject_id, recipe_id, style, language, prompt_name, prompt_version, policy_version
from {{ source('flywheel', 'briefs') }}
